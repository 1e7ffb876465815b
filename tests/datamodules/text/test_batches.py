"""Batches under a token budget: every row once per epoch, the budget kept, the same order whenever they start."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.text.batches import SortedBatches, TokenBudgetBatches

LENGTHS = st.lists(st.integers(0, 60), min_size=8, max_size=200).map(np.array)


def batches_of(
    lengths: np.ndarray,
    *,
    budget: int = 120,
    most: int = 16,
    ranks: int = 1,
    epoch: int = 0,
    first: int = 0,
    seed: int = 7,
) -> list[list[np.ndarray]]:
    """Batches of each rank."""
    return [
        list(
            TokenBudgetBatches(
                lengths=lengths,
                max_tokens=budget,
                batch_size=most,
                seed=seed,
                rank=rank,
                world_size=ranks,
                position=lambda: (epoch, first),
            )
        )
        for rank in range(ranks)
    ]


@given(lengths=LENGTHS, ranks=st.integers(1, 3), most=st.integers(1, 20), epoch=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_every_row_is_in_one_batch_of_an_epoch_and_the_budget_is_kept(
    lengths: np.ndarray, ranks: int, most: int, epoch: int
) -> None:
    of_ranks = batches_of(lengths, most=most, ranks=ranks, epoch=epoch)
    counts = {len(batches) for batches in of_ranks}
    assert counts == {len(batches_of(lengths, most=most, ranks=ranks, epoch=epoch + 1)[0])}
    rows = np.concatenate([batch for batches in of_ranks for batch in batches])
    assert sorted(rows.tolist()) == list(range(len(lengths)))
    for batch in (batch for batches in of_ranks for batch in batches):
        assert 1 <= len(batch) <= (most if ranks == 1 else max(most, 2))
        assert len(batch) * lengths[batch].max() <= 120 or (len(batch) == 2 and ranks > 1)


@given(lengths=LENGTHS, first=st.integers(0, 30), epoch=st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_an_epoch_goes_on_where_it_stopped(lengths: np.ndarray, first: int, epoch: int) -> None:
    (whole,) = batches_of(lengths, epoch=epoch)
    (rest,) = batches_of(lengths, epoch=epoch, first=first)
    assert [batch.tolist() for batch in rest] == [batch.tolist() for batch in whole[first:]]


def test_epochs_and_seeds_differ() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 500)
    first, second, other = (
        [batch.tolist() for batch in batches_of(lengths, epoch=epoch, seed=seed)[0]]
        for epoch, seed in ((0, 7), (1, 7), (0, 8))
    )
    assert first != second
    assert first != other
    assert sorted(map(sorted, first)) != sorted(map(sorted, second))  # not only their order


def test_little_is_padded_and_most_of_the_budget_is_used() -> None:
    lengths = np.random.default_rng(0).geometric(1 / 25, 5000).clip(2, 128)
    (batches,) = batches_of(lengths, budget=2048, most=1000)
    shapes = np.array([len(batch) * lengths[batch].max() for batch in batches])
    assert lengths.sum() / shapes.sum() > 0.95
    assert shapes.mean() > 0.93 * 2048


def test_a_text_longer_than_the_budget_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data.max_tokens: 120 given, a text has 121 tokens; give more"):
        batches_of(np.array([3, 121, 5]))


@given(lengths=LENGTHS, ranks=st.integers(1, 3), budget=st.sampled_from([None, 90]))
@settings(max_examples=40, deadline=None)
def test_evaluation_sees_every_row_once_and_every_rank_has_as_many_batches(
    lengths: np.ndarray, ranks: int, budget: int | None
) -> None:
    of_ranks = [
        list(SortedBatches(lengths=lengths, max_tokens=budget, batch_size=10, rank=rank, world_size=ranks))
        for rank in range(ranks)
    ]
    assert len({len(batches) for batches in of_ranks}) == 1
    rows = np.concatenate([batch for batches in of_ranks for batch in batches])
    assert sorted(rows.tolist()) == list(range(len(lengths)))
    for batch in (batch for batches in of_ranks for batch in batches):
        assert 1 <= len(batch) <= 10
        assert budget is None or len(batch) * lengths[batch].max() <= budget or (len(batch) == 2 and ranks > 1)
