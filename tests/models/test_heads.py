import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.heads import TrajectoryHead

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)


def head(**options: object) -> TrajectoryHead:
    return TrajectoryHead(**{"hidden_size": 4, "horizon": 7, "quantiles": LEVELS, **options})  # type: ignore[arg-type]


def test_the_untrained_head_gives_the_empirical_quantiles() -> None:
    base = torch.randn(7, 5).sort(dim=-1).values
    untrained = head()
    untrained.set_base(base)
    torch.testing.assert_close(untrained(torch.randn(3, 2, 4)), base.expand(3, 2, 7, 5))


@given(seed=st.integers(0, 1000), size=st.floats(0.1, 100))
@settings(max_examples=60, deadline=None)
def test_quantiles_never_cross_whatever_the_weights(seed: int, size: float) -> None:
    torch.manual_seed(seed)
    trained = head()
    trained.set_base(torch.randn(7, 5).sort(dim=-1).values)
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter, std=min(size, 3.0) if parameter is trained.log_gaps else size)
    assert (trained(torch.randn(6, 4)).diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("quantiles", [(0.1, 0.5), (0.5, 0.1, 0.9), (0.1, 0.4, 0.9), (0.0, 0.5, 0.9)])
def test_levels_without_a_middle_are_refused(quantiles: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"ascending levels with 0.5 in the middle are needed"):
        head(quantiles=quantiles)


def test_a_horizon_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="horizon: 0 given, at least 1 is needed"):
        head(horizon=0)
