"""Pruning takes out what does nothing, and says which networks it knows."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from lightning_app.errors import UsageError
from lightning_app.packaging.optimize.pruning import prune, sites_of
from models import Forecaster, PatchTransformer, PhaseTransformer, ReversibleNorm, WindowLinear

SIZES = {"look_back": 48, "horizon": 6, "dropout": 0.0}
PATCH = partial(PatchTransformer, **SIZES, hidden_size=16, num_layers=2, patch_size=8, stride=4,
                norm=ReversibleNorm(mode="std"))  # fmt: skip
PHASE = partial(PhaseTransformer, **SIZES, period=24, hidden_size=16, num_layers=2)


def with_idle_parts(network: nn.Module) -> None:
    """Makes every second hidden feature and head count for nothing, and everything else for something."""
    modules = dict(network.named_modules())
    sites = sites_of(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # heads of forecasts start at zero
        for _, second in sites.feed_forwards:
            modules[second].weight[:, ::2] = 0.0  # type: ignore[index, operator, union-attr]
        for name in sites.attentions:
            out: Any = modules[f"{name}.out_proj"]
            out.weight.view(16, 4, 4)[:, ::2] = 0.0


@pytest.mark.parametrize("make", [PATCH, PHASE], ids=["patch", "phase"])
def test_what_does_nothing_is_taken_out_and_nothing_else(make: Any) -> None:
    torch.manual_seed(0)
    network = make(feed_forward_size=64, num_heads=4)
    with_idle_parts(network)
    module = Forecaster(network=network, loss=nn.MSELoss(), num_channels=2, look_back=48, horizon=6).eval()
    batches = [{"past": torch.randn(4, 48, 2), "future": torch.randn(4, 6, 2)} for _ in range(3)]
    pruned = prune(module, batches, share=0.5)
    assert pruned.arguments == {"feed_forward_size": 32, "num_heads": 2, "attention_size": 8}
    assert pruned.before == {"feed_forward_size": 64, "num_heads": 4, "attention_size": 16}
    smaller = make(**pruned.arguments).eval()
    smaller.load_state_dict(pruned.weights)
    past = torch.randn(5, 48, 2)
    torch.testing.assert_close(smaller(past), network(past))
    again = prune(Forecaster(network=smaller, loss=nn.MSELoss(), num_channels=2, look_back=48, horizon=6).eval(),
                  batches, share=0.5)  # fmt: skip
    assert again.arguments == {"feed_forward_size": 16, "num_heads": 1, "attention_size": 4}
    make(**again.arguments).load_state_dict(again.weights)


def test_other_networks_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="a WindowLinear has no feed-forward networks"):
        sites_of(WindowLinear(look_back=8, horizon=2, norm=ReversibleNorm(mode="std")))
