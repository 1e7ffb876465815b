import numpy as np
import pytest

from lightning_app.retrieval import exact_search as module
from lightning_app.retrieval.exact_search import exact_search


@pytest.mark.parametrize("top", [1, 7, 60, 500])
def test_finds_what_a_full_sort_finds_over_several_blocks(top: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 32)
    monkeypatch.setattr(module, "_QUERIES", 4)
    rng = np.random.default_rng(0)
    vectors = rng.integers(-2, 3, (200, 4)).astype(np.float32)  # whole numbers: many equal scores
    queries = rng.integers(-2, 3, (9, 4)).astype(np.float32)
    positions, scores = exact_search(vectors, queries, top=top)
    every = queries @ vectors.T
    expected = np.argsort(-every, axis=1, kind="stable")[:, :top]
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(every, expected, axis=1))
