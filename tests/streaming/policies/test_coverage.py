from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from jepa_vl.streaming.base import EmbeddingStream
from jepa_vl.streaming.policies.coverage import Coverage, StreamCoverage, weigh

Make = Callable[..., tuple[EmbeddingStream, np.ndarray]]


def covered(stream: EmbeddingStream, weights: np.ndarray, windows: Sequence[int]) -> float:
    """What a choice covers, window by window; of two as near, the earlier chosen one stands for it."""
    total = 0.0
    for t in range(len(stream)):
        nearest = min(windows, key=lambda p: (abs(stream.times[p] - stream.times[t]), p))
        total += weights[t] * float(stream.embeddings[t] @ stream.embeddings[nearest])
    return total


def small(make_stream: Make, n: int, seed: int) -> tuple[EmbeddingStream, np.ndarray]:
    stream = make_stream(seconds=20, events=4, seed=seed)[0]
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.choice(len(stream), size=n, replace=False))  # uneven times
    stream = replace(stream, times=stream.times[kept], embeddings=stream.embeddings[kept])
    return stream, rng.uniform(size=n)


@pytest.mark.parametrize("seed", range(4))
def test_the_choice_is_the_best_of_all(make_stream: Make, seed: int) -> None:
    stream, weights = small(make_stream, 9, seed)
    coverage = Coverage(stream.times, stream.embeddings, weights)
    for number in range(1, 10):
        best = max(covered(stream, weights, c) for c in itertools.combinations(range(9), number))
        windows = coverage.windows(number)
        assert len(set(windows)) == number
        assert windows == sorted(windows)
        assert covered(stream, weights, windows) == pytest.approx(best, abs=1e-5)
        assert coverage.covered(number) == pytest.approx(best, abs=1e-5)


def test_numbers_may_be_asked_for_in_any_order(make_stream: Make) -> None:
    stream, weights = small(make_stream, 20, 0)
    down, up = (Coverage(stream.times, stream.embeddings, weights) for _ in range(2))
    falling = [down.windows(k) for k in range(20, -1, -1)]
    assert falling[::-1] == [up.windows(k) for k in range(21)]


def test_a_stream_in_blocks_covers_almost_as_much_as_the_whole(make_stream: Make) -> None:
    stream = make_stream(seconds=200, events=20)[0]
    weights = weigh(stream, 10.0, 1.0)
    whole, parts = (StreamCoverage(stream, weights, block=b) for b in (1000, 100))
    for number in (1, 2, 10, 40, 150, len(stream)):
        windows = parts.windows(number)
        assert len(set(windows)) == number
        best = covered(stream, weights, whole.windows(number))
        assert covered(stream, weights, windows) >= (0.95 if number >= 10 else 0.5) * best


def test_weights_equal_a_loop_over_windows(make_stream: Make) -> None:
    stream = make_stream(seconds=30, events=3)[0]
    novelty, whole = [], []
    for time, row in zip(stream.times, stream.embeddings, strict=True):
        mean = stream.embeddings[np.abs(stream.times - time) <= 4.0].astype(np.float64).mean(axis=0)
        novelty.append((1 - row @ mean / np.linalg.norm(mean)) ** 3)
        mean = stream.embeddings.astype(np.float64).mean(axis=0)
        whole.append(1 - row @ mean / np.linalg.norm(mean))
    np.testing.assert_allclose(weigh(stream, 4.0, 3.0), novelty / np.mean(novelty), atol=1e-5)
    np.testing.assert_allclose(weigh(stream, None, 1.0), whole / np.mean(whole), atol=1e-5)


def test_windows_weigh_alike_where_nothing_happens_or_novelty_does_not_count(make_stream: Make) -> None:
    stream = make_stream(seconds=30, events=3)[0]
    still = replace(stream, embeddings=np.repeat(stream.embeddings[:1], len(stream), axis=0))
    for weights in (weigh(stream, None, 0.0), weigh(still, None, 2.0)):
        np.testing.assert_array_equal(weights, 1.0)


def test_a_constant_stream_is_covered_by_any_number(make_stream: Make) -> None:
    stream = make_stream(seconds=10, events=1)[0]
    still = replace(stream, embeddings=np.repeat(stream.embeddings[:1], len(stream), axis=0))
    assert len(StreamCoverage(still, weigh(still, None, 2.0)).windows(5)) == 5
