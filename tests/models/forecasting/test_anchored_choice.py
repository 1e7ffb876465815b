import torch
from torch import Tensor

from models.forecasting.auto.anchored_choice import AnchoredChoice, anchored_choice

NAMES = ["naive", "model"]
WINDOWS = 80


def chosen(gains: Tensor, *, doubts: tuple[str, ...] = (), anchors: tuple[int, ...] = (0,)) -> AnchoredChoice:
    """The choice between a naive forecast with squared error 1 in each window, and a model with less by `gains`."""
    noise = 0.02 * torch.randn(WINDOWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    errors = torch.stack([torch.ones(WINDOWS, dtype=torch.float64), (1 - gains + noise).sqrt()], dim=1)
    products = errors[:, :, None] * errors[:, None]
    return anchored_choice(products, counts=torch.ones(WINDOWS), anchors=anchors, names=NAMES, block=4, doubts=doubts)


def test_a_model_that_is_better_throughout_is_taken() -> None:
    assert chosen(torch.full((WINDOWS,), 0.4)).members == (1,)


def test_a_model_that_is_worse_in_one_quarter_is_not() -> None:
    gains = torch.full((WINDOWS,), 0.4)
    gains[20:40] = -0.2
    choice = chosen(gains)
    assert choice.members == (0,)
    assert "not better in 1 of 4 parts" in choice.reason
    assert chosen(gains, anchors=()).members == (1,)  # without an anchor validation as a whole decides


def test_a_lost_back_test_leaves_the_naive_forecast_and_is_named() -> None:
    choice = chosen(torch.full((WINDOWS,), 0.4), doubts=("model had 1.1 times the error of naive on rows 1 to 9",))
    assert choice.members == (0,)
    assert choice.error == 1.0
    assert "on rows 1 to 9" in choice.reason
