from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from jepa_vl.compare.costs.memory import peak_memory_mib, reset_peak_memory


@pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU's memory is measured")
def test_the_peak_remembers_what_was_given_back():
    before = peak_memory_mib()
    held = torch.ones(100 * 2**18)  # 100 MiB
    grown = peak_memory_mib()
    del held
    assert grown > before - 1  # an earlier test may have held more
    assert peak_memory_mib() > grown - 1  # the kernel adds up what its processors have counted


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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's own peak")
def test_what_the_process_that_started_it_held_is_not_counted():
    held = torch.ones(1200 * 2**18)  # 1.2 GiB
    code = "from jepa_vl.compare.costs.memory import peak_memory_mib; print(peak_memory_mib())"
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1100
    assert len(held)
