"""Choice from the simplest kind up: which steps are taken in whole, by half or not, and what is said about them."""

import pytest
import torch
from torch import Tensor

from models.forecasting.auto.anchored_choice import AnchoredChoice, anchored_choice

NAMES = ["naive", "ridge", "network"]
WINDOWS = 80
BETTER = torch.full((WINDOWS,), 0.4)
LOST = ("ridge had 1.1 times the error of naive on rows 1 to 9",)


def chosen(
    ridge: Tensor,
    network: Tensor | None = None,
    *,
    doubts: tuple[str, ...] = (),
    back_tests: int = 0,
    anchors: tuple[int, ...] = (0,),
    horizon: int = 4,
) -> AnchoredChoice:
    """The choice among a naive forecast with squared error 1 in each window and models with less by their gains."""
    gains = [ridge] if network is None else [ridge, network]
    noise = 0.02 * torch.randn(WINDOWS, len(gains), generator=torch.Generator().manual_seed(0)).double()
    # Models err alike, so that their mean is no better than the better one.
    squares = torch.stack(gains, dim=1).neg().add(1) + noise
    errors = torch.cat([torch.ones(WINDOWS, 1, dtype=torch.float64), squares.sqrt()], dim=1)
    products = errors[:, :, None] * errors[:, None]
    return anchored_choice(
        products,
        counts=torch.ones(WINDOWS),
        names=NAMES[: errors.shape[1]],
        anchors=anchors,
        closed_forms=(0, 1),
        horizon=horizon,
        back_tests=back_tests,
        doubts=doubts,
    )


def test_a_closed_form_that_is_better_throughout_is_taken_in_whole() -> None:
    choice = chosen(BETTER)
    assert choice.weights == (0.0, 1.0)
    assert "less in every part of validation" in choice.reason


def test_a_closed_form_that_is_worse_in_one_quarter_is_taken_by_half() -> None:
    gains = BETTER.clone()
    gains[20:40] = -0.2
    choice = chosen(gains)
    assert choice.weights == (0.5, 0.5)
    assert "taken by half: not better in 1 of 4 parts of validation" in choice.reason
    assert chosen(gains, anchors=()).weights == (0.0, 1.0)  # without an anchor validation as a whole decides


def test_a_network_that_beats_the_naive_forecast_but_not_clearly_the_closed_form_is_taken_by_half() -> None:
    gains = BETTER + 0.1
    gains[60:] -= 0.2
    choice = chosen(BETTER, gains)
    whole = chosen(BETTER, BETTER + 0.2)
    assert whole.weights[2] > 0.9
    assert 0.2 < choice.weights[2] < 0.6
    assert "all candidates" in choice.reason.split("taken by half")[0]


def test_a_lost_back_test_leaves_the_naive_forecast_and_is_named() -> None:
    choice = chosen(BETTER, BETTER + 0.2, doubts=LOST, back_tests=2)
    assert choice.weights == (1.0, 0.0, 0.0)
    assert choice.error == pytest.approx(1.0)
    assert choice.reason.startswith("naive: closed forms (")
    assert "on rows 1 to 9" in choice.reason


def test_a_validation_of_less_than_four_horizons_needs_a_back_test_for_closed_forms_and_halves_networks() -> None:
    short = chosen(BETTER, BETTER + 0.3, horizon=21)
    assert "taken by half: validation has fewer than four horizons" in short.reason
    tested = chosen(BETTER, BETTER + 0.3, horizon=21, back_tests=1)
    assert tested.weights[0] < short.weights[0]  # the step to closed forms is whole
    assert 0.2 < tested.weights[2] < chosen(BETTER, BETTER + 0.3, horizon=4).weights[2]
    assert chosen(BETTER, horizon=21).weights[1] == pytest.approx(
        chosen(BETTER, horizon=21, back_tests=1).weights[1] / 2
    )
