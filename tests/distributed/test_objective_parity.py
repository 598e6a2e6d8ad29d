"""A step of `jepa` over 2 and 4 processes is that of one process with the whole batch, whatever splits it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("micro", ["", ", micro-batches"], ids=["at once", "micro-batches"])
@pytest.mark.parametrize("accumulated", ["", ", accumulated"], ids=["one batch", "accumulated"])
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_loss_gradients_weights_and_moments_are_one_process_s(
    strategy: str, accumulated: str, micro: str, single: dict[str, Any], ranks: list[dict[str, Any]]
) -> None:
    """Of predictor, text encoder and temperature, with groups that are spread over ranks."""
    case = f"{strategy}{micro}{accumulated}"
    want = dict(single["objective"][case])
    found = [dict(rank["objective"][case]) for rank in ranks]
    mean = torch.stack([rank.pop("loss") for rank in found]).mean()
    torch.testing.assert_close(mean, want.pop("loss"), rtol=1e-6, atol=0)
    for part in ("predictor", "text_encoder", "loss"):
        assert any(name.startswith(f"gradient of {part}.") for name in want)
    for rank in found:
        torch.testing.assert_close(rank, want, rtol=1e-6, atol=1e-8)


def test_the_step_changes_every_part(single: dict[str, Any]) -> None:
    """Else the others compare what nothing has touched."""
    for case in single["objective"].values():
        moments = {name: x for name, x in case.items() if name.startswith("moment of ")}
        # a shift of all keys of an attention changes nothing, so that its gradient is 0
        moved = {name for name, x in moments.items() if x.abs().max() > 1e-12}
        assert all("key.bias" in name or "bias" in name for name in set(moments) - moved)
