from __future__ import annotations

import sys

import pytest
import torch

from jepa_vl.compare.memory import peak_memory_mib, reset_peak_memory


@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU's memory is measured")
def test_the_peak_remembers_what_was_given_back():
    before = peak_memory_mib()
    held = torch.ones(100 * 2**18)  # 100 MiB
    grown = peak_memory_mib()
    del held
    assert grown >= before  # an earlier test may have held more
    assert peak_memory_mib() >= grown


@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU's memory is measured")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_a_peak_before_the_reset_is_forgotten():
    held = torch.ones(300 * 2**18)  # 300 MiB
    high = peak_memory_mib()
    del held
    reset_peak_memory()
    assert peak_memory_mib() < high - 200
    assert len(torch.ones(300 * 2**18))
    assert peak_memory_mib() > high - 100
