from __future__ import annotations

import gc
import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.feature_extraction.image import grid_to_graph

from jepa_vl.errors import UserError
from jepa_vl.streaming.base import EmbeddingStream
from jepa_vl.streaming.policies import segmentation
from jepa_vl.streaming.policies.segmentation import WardTree, tree_of

Make = Callable[..., tuple[EmbeddingStream, np.ndarray]]


@pytest.mark.parametrize("number", [1, 2, 3, 17, 60, 118, 119])
def test_a_cut_of_the_one_tree_equals_a_fit_with_that_number_of_clusters(
    make_stream: Make, number: int
) -> None:
    rows = make_stream(seconds=60, events=6)[0].embeddings
    fit = AgglomerativeClustering(
        n_clusters=number, linkage="ward", connectivity=grid_to_graph(len(rows), 1), compute_full_tree=True
    )
    labels = fit.fit_predict(rows.astype(np.float64))
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(rows)]
    assert WardTree(rows).segments(number) == list(itertools.pairwise(edges))


def test_every_number_of_segments_partitions_the_stream_and_refines_the_one_before(make_stream: Make) -> None:
    tree = WardTree(make_stream(seconds=40, events=4)[0].embeddings)
    before: set[int] = set()
    for number in range(1, tree.n + 1):
        segments = tree.segments(number)
        assert [i for a, b in segments for i in range(a, b)] == list(range(tree.n))
        assert len(segments) == number
        starts = {a for a, _ in segments}
        assert before < starts
        before = starts


def test_segments_end_where_planted_stretches_do() -> None:
    rng = np.random.default_rng(0)
    lengths, rows = [3, 20, 7, 11], np.eye(4)
    stretches = np.repeat(rows, lengths, axis=0) + 0.01 * rng.normal(size=(sum(lengths), 4))
    ends = np.cumsum(lengths).tolist()
    assert WardTree(stretches.astype(np.float32)).segments(4) == list(zip([0, *ends], ends, strict=False))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_constant_embeddings_and_single_windows_are_segmented(n: int) -> None:
    tree = WardTree(np.ones((n, 3), dtype=np.float32))
    assert len(tree.segments(n)) == n
    assert tree.segments(1) == [(0, n)]


@pytest.mark.parametrize("number", [0, 6])
def test_a_number_of_segments_that_cannot_be_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"5 windows make 1 to 5 segments, not {number}"):
        WardTree(np.ones((5, 3), dtype=np.float32)).segments(number)


def test_a_stream_is_fitted_once_and_its_tree_goes_with_it(make_stream: Make) -> None:
    stream = make_stream(seconds=20, events=2)[0]
    key = id(stream)
    assert tree_of(stream) is tree_of(stream)
    del stream
    gc.collect()
    assert key not in segmentation._trees


def test_what_is_not_a_number_is_refused_with_stream_and_second(make_stream: Make) -> None:
    stream = make_stream(seconds=20, events=2)[0]
    rows = stream.embeddings.copy()
    rows[[7, 9], 3] = np.nan
    with pytest.raises(UserError, match=r"stream 'synthetic-0': .* window at 4\.00 s and 1 more holds NaN"):
        tree_of(replace(stream, embeddings=rows))


def test_a_stream_without_a_window_is_refused(make_stream: Make) -> None:
    stream = make_stream(seconds=20, events=2)[0]
    with pytest.raises(UserError, match="has no window: it is shorter than 1 s"):
        tree_of(replace(stream, times=stream.times[:0], embeddings=stream.embeddings[:0]))
