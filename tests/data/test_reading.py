from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from jepa_vl.data.clips import Clip
from jepa_vl.data.content import content_hashes
from jepa_vl.data.reading import refuse_unreadable
from jepa_vl.errors import UserError
from jepa_vl.vision.base import Preprocessing


def test_of_many_missing_media_a_few_are_read_to_be_listed_and_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(tmp_path / f"{i}.mp4") for i in range(50)]
    clips = [Clip(path, None, None, path, f"sample '{path}'") for path in paths]
    read = []
    real = Clip.read

    def counted(clip: Clip, preprocessing: Preprocessing) -> Tensor:
        read.append(clip.path)
        return real(clip, preprocessing)

    monkeypatch.setattr(Clip, "read", counted)
    with pytest.raises(UserError) as caught:
        refuse_unreadable(clips, content_hashes(paths), Preprocessing(size=(8, 8), num_frames=1), limit=3)
    assert read == paths[:5]
    first, *listed = str(caught.value).splitlines()
    assert first.startswith("50 clips cannot be read; ")
    assert len(listed) == 6
    assert listed[-1] == "  and 45 more"
