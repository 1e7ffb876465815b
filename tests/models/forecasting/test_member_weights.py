"""Weights of members: that they are the best ones, how validation's length shrinks them, and who is left out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from models.forecasting.mean_forecaster import MemberMean
from models.forecasting.member_weights import describe_weights, mean_error, shrunken_weights


def products_of(members: int, *, windows: int = 120, seed: int = 0, scales: Tensor | None = None) -> Tensor:
    """Products of errors (N, M, 5) that members share in part, members differing in size."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(windows, 1, 5, generator=generator)
    size = 0.5 + torch.rand(members, 1, generator=generator) if scales is None else scales[:, None]
    errors = (shared + size * torch.randn(windows, members, 5, generator=generator)).double()
    return errors @ errors.transpose(1, 2)


def weigh(products: Tensor, *, horizon: int = 1) -> Tensor:
    return shrunken_weights(products, counts=torch.full((len(products),), 5), horizon=horizon)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), members=st.integers(2, 5))
def test_weights_are_those_of_the_lowest_shrunken_error(seed: int, members: int) -> None:
    products = products_of(members, seed=seed)
    mean = products.sum(dim=0).numpy() / 600
    matrix = mean + 12 / 120 * np.sort(mean.diagonal())[(members - 1) // 2] * np.eye(members)
    direct = minimize(
        lambda weights: weights @ matrix @ weights,
        np.full(members, 1 / members),
        bounds=[(0, 1)] * members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"ftol": 1e-12},
    ).x
    kept = np.where(direct >= 0.02, direct, 0)
    np.testing.assert_allclose(weigh(products, horizon=12).numpy(), kept / kept.sum(), atol=2e-3)


def test_the_shorter_validation_is_the_nearer_weights_are_to_equal() -> None:
    products = products_of(4, scales=torch.tensor([0.2, 0.5, 1.0, 2.0]))
    gaps = [float((weigh(products, horizon=horizon) - 0.25).abs().max()) for horizon in (1, 12, 40, 120)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > gaps[-1] + 0.1
    torch.testing.assert_close(weigh(products, horizon=500), weigh(products, horizon=120))


def test_a_member_that_is_far_off_is_left_out_and_equal_members_weigh_alike() -> None:
    products = products_of(3, scales=torch.tensor([1.0, 1.0, 50.0]))
    assert float(weigh(products)[2]) == 0
    alike = products_of(1).expand(-1, 3, 3)
    torch.testing.assert_close(weigh(alike, horizon=10), torch.full((3,), 1 / 3, dtype=torch.float64))
    assert mean_error(alike, torch.full((120,), 5), weigh(alike)) == pytest.approx(float(alike[:, 0, 0].sum() / 600))


def test_members_without_any_error_do_not_divide_by_zero() -> None:
    assert weigh(torch.zeros(9, 2, 2)).tolist() == [0.5, 0.5]


def test_nothing_observed_and_more_members_than_can_be_solved_for_are_refused() -> None:
    with pytest.raises(ValueError, match="no validation window has an observed value"):
        shrunken_weights(torch.zeros(7, 2, 2), counts=torch.zeros(7), horizon=3)
    with pytest.raises(ValueError, match="13 members given, 1 to 12"):
        weigh(products_of(13))


def test_members_are_described_by_falling_weight() -> None:
    assert describe_weights([0.25, 0.0, 0.75], ["a", "b", "c"]) == "0.75 c + 0.25 a"
    assert describe_weights([0.0, 1.0], ["a", "b"]) == "b"


def test_a_checkpoint_of_equal_weights_still_loads() -> None:
    mean = MemberMean(members=(torch.nn.Identity(), torch.nn.Identity(), torch.nn.Identity()))  # type: ignore[arg-type]
    mean.load_state_dict({"chosen": torch.tensor([True, False, True])})
    assert mean.weights.tolist() == [0.5, 0.0, 0.5]
    assert mean.chosen.tolist() == [True, False, True]
