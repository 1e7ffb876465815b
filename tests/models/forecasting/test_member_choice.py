"""Choice of members: who is dropped, who is kept, and that the standard error is that of the bootstrap."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.forecasting.member_choice import Choice, largest_subset


def errors_of(members: int, *, windows: int = 120, seed: int = 0) -> Tensor:
    """Errors (N, M, 5) that windows and members share in part, members differing in size."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(windows, 1, 5, generator=generator)
    size = 0.5 + torch.rand(members, 1, generator=generator)
    return shared + size * torch.randn(windows, members, 5, generator=generator)


def choose(errors: Tensor, *, block: int = 10, margin: float = 1.1) -> Choice:
    counts = torch.full((len(errors),), errors.shape[2])
    return largest_subset(errors @ errors.transpose(1, 2), counts=counts, block=block, margin=margin)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), members=st.integers(1, 5))
def test_the_best_subset_and_the_error_are_those_of_a_direct_search(seed: int, members: int) -> None:
    errors = errors_of(members, seed=seed)
    choice = choose(errors, margin=100)
    direct = {
        subset: float(errors[:, list(subset)].mean(dim=1).square().mean())
        for count in range(1, members + 1)
        for subset in combinations(range(members), count)
    }
    assert choice.best_error == pytest.approx(min(direct.values()), rel=1e-5)
    assert direct[choice.best] == pytest.approx(choice.best_error, rel=1e-5)
    assert direct[choice.members] == pytest.approx(choice.error, rel=1e-5)
    assert len(choice.members) >= len(choice.best)
    assert choice.error - choice.best_error <= choice.standard_error + 1e-6


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_member_worse_than_the_margin_never_enters_and_a_better_one_is_not_called_dropped(seed: int) -> None:
    errors = errors_of(6, seed=seed)
    own = errors.square().mean(dim=(0, 2))
    choice = choose(errors)
    worse = tuple(index for index in range(6) if own[index] > 1.1 * own.min())
    assert choice.dropped == worse
    assert not set(worse) & {*choice.members, *choice.best}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_choice_does_not_depend_on_the_order_of_members(seed: int) -> None:
    errors = errors_of(5, seed=seed)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed)).tolist()
    choice, permuted = choose(errors, margin=2), choose(errors[:, order], margin=2)
    assert {order[index] for index in permuted.members} == set(choice.members)
    assert permuted.error == pytest.approx(choice.error)


@pytest.mark.parametrize("windows", [120, 12])
def test_equal_members_are_all_kept(windows: int) -> None:
    errors = errors_of(1, windows=windows).expand(-1, 4, -1)
    choice = choose(errors)
    assert choice.members == (0, 1, 2, 3)
    assert choice.error == pytest.approx(float(errors.square().mean()), rel=1e-5)


def test_a_member_that_makes_the_mean_surely_worse_is_left_though_it_is_within_the_margin() -> None:
    generator = torch.Generator().manual_seed(0)
    good = torch.randn(2000, 2, 5, generator=generator)
    worse = 1.02 * good[:, :1]
    choice = choose(torch.cat([good, worse], dim=1), block=1)
    assert choice.members == (0, 1)
    assert choice.dropped == ()
    assert choice.describe(["a", "b", "c"]).startswith("2 of 3 members")
    assert "left, more would be worse" in choice.describe(["a", "b", "c"])


def test_with_less_than_two_blocks_of_windows_all_within_the_margin_are_kept_and_the_line_says_so() -> None:
    errors = errors_of(3, windows=19)
    errors[:, 2] *= 5
    choice = choose(errors, margin=2)
    assert choice.members == (0, 1)
    assert choice.dropped == (2,)
    assert math.isnan(choice.standard_error)
    line = choice.describe(["a", "b", "c"])
    assert "too few windows for a standard error" in line
    assert "dropped: c (" in line


def test_the_standard_error_is_that_of_drawing_blocks_of_windows() -> None:
    errors = errors_of(4, windows=600, seed=3)
    errors[1:] = 0.6 * errors[1:] + 0.8 * errors[:-1]  # neighbours are dependent
    choice = choose(errors, block=10, margin=3)
    assert choice.members != choice.best
    difference = [errors[:, list(subset)].mean(dim=1).square().mean(dim=1) for subset in (choice.members, choice.best)]
    of_windows = (difference[0] - difference[1]).numpy()
    of_blocks = np.lib.stride_tricks.sliding_window_view(of_windows, 10).mean(axis=1)
    drawn = np.random.default_rng(0).choice(of_blocks, size=(4000, 60)).mean(axis=1)
    assert choice.standard_error == pytest.approx(drawn.std(), rel=0.06)


def test_windows_count_by_their_observed_values() -> None:
    errors = errors_of(3, windows=40)
    counts = torch.full((40,), 5)
    products = errors @ errors.transpose(1, 2)
    gap = torch.zeros(7, 3, 3)
    plain = largest_subset(products, counts=counts, block=4)
    gaps = largest_subset(
        torch.cat([products, gap]), counts=torch.cat([counts, torch.zeros(7, dtype=torch.int64)]), block=4
    )
    assert gaps.best_error == pytest.approx(plain.best_error)
    with pytest.raises(ValueError, match="no validation window has an observed value"):
        largest_subset(gap, counts=torch.zeros(7), block=4)


def test_more_members_than_can_be_searched_are_refused() -> None:
    with pytest.raises(ValueError, match="13 members given, 1 to 12"):
        choose(errors_of(13))
