import pytest
import torch

from models.layers.dropout import Dropout, drop
from models.layers.locked_dropout import LockedDropout


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.6, 0.97])
def test_share_of_zeros_and_mean_are_right(probability: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1001, 999)
    dropped = drop(x, probability)
    deviation = 5 * (probability * (1 - probability) / x.numel()) ** 0.5
    assert abs(float((dropped == 0).float().mean()) - probability) < deviation
    assert abs(float(dropped.double().mean()) - 1) < deviation / (1 - probability)
    assert len(dropped.unique()) == 2


def test_neighbouring_numbers_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = drop(torch.ones(400_000), 0.5) > 0
    for distance in (1, 2, 3, 4):  # four numbers share one draw
        both = (kept[:-distance] & kept[distance:]).float().mean()
        assert abs(both - 0.25) < 5 * (0.25 * 0.75 / 400_000) ** 0.5


def test_gradient_is_that_of_the_mask() -> None:
    torch.manual_seed(0)
    x = torch.rand(50, requires_grad=True)
    dropped = drop(x, 0.4)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), dropped.detach())


def test_evaluation_and_probability_zero_change_nothing() -> None:
    x = torch.rand(7)
    assert Dropout(0.5).eval()(x) is x
    assert drop(x, 0.0) is x
    assert torch.equal(drop(x, 1e-6), x)  # less than a step of the probability
    assert drop(torch.empty(0, 3), 0.5).shape == (0, 3)


def test_a_locked_mask_is_one_for_all_steps_and_another_for_each_lane() -> None:
    torch.manual_seed(0)
    dropped = LockedDropout(0.4)(torch.ones(30, 5, 40))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert len({tuple(lane.tolist()) for lane in dropped[:, 0]}) == 30
    x = torch.rand(2, 3, 4)
    assert LockedDropout(0.4).eval()(x) is x


@pytest.mark.parametrize("kind", [Dropout, LockedDropout])
@pytest.mark.parametrize("probability", [-0.1, 1.0])
def test_probabilities_out_of_range_are_refused(probability: float, kind: type[Dropout] | type[LockedDropout]) -> None:
    with pytest.raises(ValueError, match="dropout"):
        kind(probability)
