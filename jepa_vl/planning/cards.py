"""Accelerators by name: what they could compute at most, by their makers' data sheets."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from jepa_vl.errors import RecipeError, did_you_mean

MEASURED = "cpu-measured"
SIDE, SECONDS = 1024, 1.0  # of the matrices that are multiplied, and for how long


@dataclass(frozen=True)
class Card:
    """An accelerator.

    Attributes:
        name: How it is called on the command line.
        teraflops: Dense bfloat16 products, 10¹² operations a second at most.
        memory: In bytes; None where it does not matter.
        source: Where the figures are from.
    """

    name: str
    teraflops: float
    memory: int | None
    source: str


#: Dense figures: the data sheets' larger ones are those with sparsity.
CARDS = {
    card.name: card
    for card in (
        Card("h200", 989, 141 * 10**9, "NVIDIA H200 data sheet, SXM: 1,979 TFLOPS with sparsity, 141 GB"),
        Card("h100", 989, 80 * 10**9, "NVIDIA H100 data sheet, SXM: 1,979 TFLOPS with sparsity, 80 GB"),
        Card("a100", 312, 80 * 10**9, "NVIDIA A100 data sheet, 80 GB: 312 TFLOPS"),
        Card("4090", 165.2, 24 * 10**9, "NVIDIA Ada architecture paper, RTX 4090: 165.2 TFLOPS, 24 GB"),
    )
}


def card(name: str) -> Card:
    """Return a card by its name; ``cpu-measured`` is this machine's processor, measured for a second.

    Raises:
        RecipeError: There is none of that name.
    """
    if name == MEASURED:
        return _measured()
    if name not in CARDS:
        hint = did_you_mean(name, (*CARDS, MEASURED))
        raise RecipeError(f"command line: --gpu: no card '{name}'; {hint}, or give --gpu-tflops")
    return CARDS[name]


def _measured() -> Card:
    left, right = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    left @ right  # the first one is slower
    products, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        left @ right
        products += 1
    speed = products * 2 * SIDE**3 / (time.perf_counter() - began)
    threads = torch.get_num_threads()
    return Card(
        MEASURED, speed / 1e12, None, f"float32 products of {SIDE}² matrices here, {threads} thread(s)"
    )
