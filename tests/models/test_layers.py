import pytest
import torch

from models.layers import ReversibleNorm, RouterAttention, Standardize


@pytest.mark.parametrize("mode", ["std", "mean", "last"])
def test_reversible_norm_gives_back_what_it_took(mode: str) -> None:
    norm, window = ReversibleNorm(mode=mode), torch.randn(4, 3, 20) * 5 + 7
    torch.testing.assert_close(norm.invert(*norm(window)), window)


def test_a_flat_window_stays_finite() -> None:
    normalised, _, _ = ReversibleNorm(mode="std")(torch.full((1, 10), 3.0))
    assert torch.equal(normalised, torch.zeros(1, 10))


def test_standardize_refuses_statistics_of_another_width() -> None:
    with pytest.raises(ValueError, match="the data has 3 columns, the model was built for 2"):
        Standardize(num_columns=2).set_statistics((torch.zeros(3), torch.ones(3)))


def test_router_attention_is_equivariant_to_the_order_of_tokens() -> None:
    attention = RouterAttention(hidden_size=8, num_heads=2, num_routers=3)
    tokens, order = torch.randn(2, 10, 8), torch.randperm(10)
    torch.testing.assert_close(attention(tokens[:, order]), attention(tokens)[:, order], atol=1e-6, rtol=1e-5)
