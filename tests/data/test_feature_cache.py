from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from jepa_vl.data import encode
from jepa_vl.data.clips import Clip
from jepa_vl.data.content import content_hashes
from jepa_vl.data.encode import build_cache
from jepa_vl.data.feature_cache import FeatureCache, NotFiniteError, cache_key, features_folder, open_cache
from jepa_vl.data.records import Record
from jepa_vl.errors import UserError
from jepa_vl.sample import Sample

CPU = torch.device("cpu")


class Made(NamedTuple):
    clips: list[Clip]
    encoder: Any
    build: Callable[..., FeatureCache]


@pytest.fixture
def made(tmp_path: Path, media: SimpleNamespace, tiny: SimpleNamespace) -> Made:
    """Twenty clips of two frames, and how to cache them."""
    folders = [media.frames(tmp_path / f"clip{i}", [10 * i, 10 * i + 5]) for i in range(20)]
    content = content_hashes(map(str, folders))
    clips = [
        Clip.of(
            Record(Sample(id=f.name, media=f.name, target="x"), str(f), "m.jsonl, line 1"), content[str(f)]
        )
        for f in folders
    ]
    encoder = tiny.encoder()

    def build(key: str = "key", **options: Any) -> FeatureCache:
        settings = {"what": "Encoding", "dtype": "float32", "device": CPU, **options}
        return build_cache(
            key, options.pop("clips", clips), encoder, **{k: v for k, v in settings.items() if k != "clips"}
        )

    return Made(clips, encoder, build)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_cached_tokens_equal_the_encoder_s(made: Made, num_workers: int) -> None:
    cache = made.build(num_workers=num_workers)
    for clip in made.clips:
        live = made.encoder(clip.read(made.encoder.preprocessing)[None])[0]
        assert torch.equal(cache.tokens(clip.digest, owner=clip.owner), live)


def test_single_frames_are_cached_apart(made: Made) -> None:
    cache = made.build(single_frame=True)
    tokens = cache.tokens(made.clips[3].digest, owner="")
    assert torch.equal(tokens[0], tokens[1])
    assert not torch.equal(tokens, made.build("other").tokens(made.clips[3].digest, owner=""))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_smaller_formats_keep_their_precision_and_half_the_bytes(made: Made, dtype: str) -> None:
    full, half = made.build("full"), made.build("half", dtype=dtype)
    wanted = full.tokens(made.clips[5].digest, owner="").to(getattr(torch, dtype))
    assert torch.equal(half.tokens(made.clips[5].digest, owner=""), wanted)
    sizes = [(features_folder(key) / "tokens.bin").stat().st_size for key in ("full", "half")]
    assert sizes[0] == 2 * sizes[1]


def test_a_finished_cache_is_opened_and_survives_pickling(made: Made) -> None:
    made.build().tokens(made.clips[0].digest, owner="")  # the file is mapped now
    opened = open_cache("key")
    assert opened is not None
    data = pickle.dumps(opened)
    assert len(data) < 10_000
    again = pickle.loads(data)
    assert torch.equal(
        again.tokens(made.clips[7].digest, owner=""), opened.tokens(made.clips[7].digest, owner="")
    )


def test_there_is_no_cache_before_one_is_made() -> None:
    assert open_cache("key") is None


def truncate(folder: Path) -> None:
    os.truncate(folder / "tokens.bin", 100)


def no_index(folder: Path) -> None:
    (folder / "index.json").unlink()


def half_an_index(folder: Path) -> None:
    text = (folder / "index.json").read_text()
    (folder / "index.json").write_text(text[: len(text) // 2])


def a_row_too_few(folder: Path) -> None:
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, "rows": index["rows"][1:]}))


@pytest.mark.parametrize("damage", [truncate, no_index, half_an_index, a_row_too_few])
def test_a_half_written_cache_is_noticed_and_made_anew(made: Made, damage: Callable[[Path], None]) -> None:
    made.build()
    damage(features_folder("key"))
    with pytest.warns(UserWarning, match="incomplete"):
        assert open_cache("key") is None
    with pytest.warns(UserWarning, match="incomplete"):
        cache = made.build()
    assert cache.tokens(made.clips[19].digest, owner="").shape == (2, 3)


def overwrite(row: int, value: float) -> None:
    tokens = np.memmap(features_folder("key") / "tokens.bin", dtype=np.float32, mode="r+", shape=(20, 2, 3))
    tokens[row, 1, 1] = value
    tokens.flush()


@pytest.mark.parametrize(("value", "said"), [(float("nan"), "NaN or infinity"), (0.123, "damaged")])
def test_changed_bytes_are_noticed_with_the_sample_and_the_remedy(
    made: Made, value: float, said: str
) -> None:
    made.build()
    overwrite(4, value)
    cache = open_cache("key")
    assert cache is not None
    cache.tokens(made.clips[3].digest, owner=made.clips[3].owner)
    with pytest.raises(UserError, match=said) as caught:
        cache.tokens(made.clips[4].digest, owner=made.clips[4].owner)
    assert "sample 'clip4' (m.jsonl, line 1)" in str(caught.value)
    assert f"delete the folder '{features_folder('key')}'" in str(caught.value)


def test_an_encoder_that_gives_nan_is_refused_with_the_samples_and_leaves_nothing(made: Made) -> None:
    made.encoder.weight.data.fill_(float("nan"))
    with pytest.raises(NotFiniteError, match=r"sample 'clip0'.*…"):
        made.build()
    assert list(features_folder("key").parent.iterdir()) == []


def test_numbers_too_large_for_float16_are_refused_with_advice(made: Made) -> None:
    made.encoder.weight.data.fill_(1e6)
    with pytest.raises(NotFiniteError, match="cache_dtype: float32"):
        made.build(dtype="float16")
    made.build(dtype="float32")


def test_a_full_disk_is_said_before_anything_is_encoded(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(UserError, match="JEPA_VL_CACHE"):
        made.build()
    assert made.encoder.calls == 0
    assert list(features_folder("key").parent.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_while_writing_leaves_nothing_behind(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda p, *a, **k: opened(Path("/dev/full") if p.name == "tokens.bin" else p, *a, **k)
    )
    with pytest.raises(UserError, match=r"no room for the feature cache: it takes .* MiB"):
        made.build()
    assert list(features_folder("key").parent.iterdir()) == []


def test_other_errors_of_the_system_are_not_called_a_full_disk(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(Path, "replace", deny)
    with pytest.raises(PermissionError):
        made.build()


def test_ctrl_c_leaves_nothing_that_looks_finished(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(made.encoder, "forward", stop)
    with pytest.raises(KeyboardInterrupt):
        made.build()
    assert list(features_folder("key").parent.iterdir()) == []


def test_leftovers_of_killed_runs_go_and_those_of_running_ones_stay(made: Made) -> None:
    for name, age in {"key.tmp-host-1": 7200, "key.tmp-host-2": 5, "other.tmp-host-3": 7200}.items():
        folder = features_folder(name)
        folder.mkdir()
        (folder / "tokens.bin").touch()
        os.utime(folder / "tokens.bin", (time.time() - age,) * 2)
    made.build()
    left = {f.name for f in features_folder("key").parent.iterdir()}
    assert left == {"key", "key.tmp-host-2", "other.tmp-host-3"}


def test_of_two_runs_that_make_the_same_cache_the_first_wins(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.build("first")
    forward = made.encoder.forward

    def slower(video: torch.Tensor) -> torch.Tensor:
        if not features_folder("key").exists():
            shutil.copytree(features_folder("first"), features_folder("key"))
            (features_folder("key") / "witness").touch()
        return forward(video)

    monkeypatch.setattr(made.encoder, "forward", slower)
    made.build()
    assert (features_folder("key") / "witness").exists()


def test_unreadable_clips_are_left_out_up_to_the_limit(made: Made) -> None:
    for i in (2, 18):
        (Path(made.clips[i].path) / "0.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"2 clips cannot be read.*allows 1") as caught:
        made.build(max_bad=1)
    assert "sample 'clip2'" in str(caught.value)
    assert "sample 'clip18'" in str(caught.value)
    cache = made.build(max_bad=2)
    assert set(cache.bad) == {made.clips[2].digest, made.clips[18].digest}
    live = made.encoder(made.clips[19].read(made.encoder.preprocessing)[None])[0]
    assert torch.equal(cache.tokens(made.clips[19].digest, owner=""), live)


def test_the_encoder_is_in_eval_mode_while_it_is_cached(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[bool] = []
    forward = made.encoder.forward
    monkeypatch.setattr(
        made.encoder, "forward", lambda v: (modes.append(made.encoder.training), forward(v))[1]
    )
    made.build()
    assert set(modes) == {False}


def test_the_key_follows_clips_and_parts_but_not_their_order() -> None:
    key = cache_key(["a", "b"], 1)
    assert key == cache_key(["b", "a", "a"], 1)
    assert len({key, cache_key(["a"], 1), cache_key(["a", "b"], 2), cache_key(["a", "b"], "1")}) == 4
