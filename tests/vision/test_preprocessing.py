from __future__ import annotations

from jepa_vl.vision.base import Preprocessing


def test_caches_made_before_there_were_resize_modes_keep_their_names() -> None:
    plain = Preprocessing((64, 64), 4, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert repr(plain) == (
        "Preprocessing(size=(64, 64), num_frames=4, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), "
        "interpolation='bicubic')"
    )


def test_another_way_to_resize_is_another_name() -> None:
    ways = [{}, {"resize_mode": "squash"}, {"resize_mode": "longest"}, {"resize_to": 72}]
    assert len({repr(Preprocessing((64, 64), 4, **way)) for way in ways}) == len(ways)
