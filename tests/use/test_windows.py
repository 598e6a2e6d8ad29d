"""Windows cover a video without a gap; a folder's media are found, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jepa_vl.errors import UserError
from jepa_vl.use.windows import find_media, windows


@pytest.mark.parametrize("length", [0.3, 3.99, 4.0, 4.001, 5.0, 6.0, 7.3, 8.0, 61.7])
@pytest.mark.parametrize(("window", "stride"), [(4.0, 2.0), (4.0, 4.0), (2.5, 0.7)])
def test_every_second_is_in_a_window_and_every_window_in_the_video(
    length: float, window: float, stride: float
) -> None:
    found = windows(length, window=window, stride=stride)
    assert found[0, 0] == 0
    assert found[-1, 1] == pytest.approx(length, abs=1.1e-3)
    assert (found[1:, 0] <= found[:-1, 1] + 1e-9).all()  # no gap
    assert (np.diff(found[:, 0]) > 0).all()  # none twice
    np.testing.assert_allclose(found[:, 1] - found[:, 0], min(window, length))


def test_only_videos_and_images_that_are_not_hidden_are_found(tmp_path: Path) -> None:
    for name in ("a.MP4", "b/c.png", "b/notes.txt", ".hidden.mp4", ".git/d.mp4", "b/e.webm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12")
    (tmp_path / "dead.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert list(find_media(tmp_path)) == ["a.MP4", "b/c.png", "b/e.webm"]
    assert find_media(tmp_path)["a.MP4"].size == 2


def test_an_empty_folder_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no video and no image .*mp4"):
        find_media(tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        find_media(tmp_path / "none")
