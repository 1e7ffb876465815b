"""Narrow attention is the stock one wherever both exist, so that weights may move between them."""

import pytest
import torch
from torch import nn

from models.layers import NarrowAttention, NarrowEncoderLayer


def test_of_full_width_it_answers_as_the_stock_attention_with_the_same_weights() -> None:
    torch.manual_seed(0)
    stock = nn.MultiheadAttention(16, 4, batch_first=True)
    narrow = NarrowAttention(hidden_size=16, num_heads=4, attention_size=16)
    narrow.load_state_dict(stock.state_dict())
    query, key = torch.randn(3, 5, 16), torch.randn(3, 7, 16)
    torch.testing.assert_close(narrow(query, key, key)[0], stock(query, key, key, need_weights=False)[0])


@pytest.mark.parametrize("training", [False, True])
def test_a_layer_answers_as_the_stock_layer_with_the_same_weights(training: bool) -> None:
    torch.manual_seed(0)
    stock = nn.TransformerEncoderLayer(16, 4, 32, 0.0, "gelu", batch_first=True, norm_first=True)
    narrow = NarrowEncoderLayer(hidden_size=16, num_heads=4, attention_size=16, feed_forward_size=32, dropout=0.0)
    narrow.load_state_dict(stock.state_dict())
    encoders = [
        nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).train(training) for layer in (narrow, stock)
    ]
    tokens = torch.randn(3, 5, 16)
    torch.testing.assert_close(encoders[0](tokens), encoders[1](tokens))


def test_dropout_of_attention_weights_acts_in_training_alone() -> None:
    attention = NarrowAttention(hidden_size=8, num_heads=2, attention_size=4, dropout=0.5)
    tokens = torch.randn(2, 6, 8)
    assert not torch.equal(attention(tokens, tokens, tokens)[0], attention(tokens, tokens, tokens)[0])
    attention.eval()
    assert torch.equal(attention(tokens, tokens, tokens)[0], attention(tokens, tokens, tokens)[0])


def test_a_width_that_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="attention_size: 6 given, a multiple of num_heads 4"):
        NarrowAttention(hidden_size=8, num_heads=4, attention_size=6)
