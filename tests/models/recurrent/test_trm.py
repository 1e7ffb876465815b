"""The Tiny Recursive Model: what is differentiated, what a step sees, what a stream carries."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.recurrent import LengthMixing, TinyRecursiveModel
from models.recurrent.recursive_block import _rotate
from models.recurrent.trm import spread

MIXINGS = ("attention", "causal_attention", "length")


def network(**options: Any) -> TinyRecursiveModel:
    torch.manual_seed(0)
    arguments = {"input_size": 16, "hidden_size": 16, "seq_len": 6, "num_latent_updates": 2, "num_recursions": 2}
    return TinyRecursiveModel(**arguments | options)


def start(model: TinyRecursiveModel, lanes: int = 3, length: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(lanes, length, model.input_size), *spread(model.initial_state(lanes), length)


def size_of_graph(tensor: Tensor) -> int:
    found, waiting = set(), [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return len(found)


def gradients(model: TinyRecursiveModel, answer: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(answer.square().flatten(1).cumsum(1).mean(), list(model.parameters())))


@pytest.mark.parametrize("mixing", MIXINGS)
def test_only_the_last_recursion_is_differentiated(mixing: str) -> None:
    once, often = network(mixing=mixing, num_recursions=1), network(mixing=mixing, num_recursions=4)
    question, answer, latent = start(once)
    before = answer, latent
    with torch.no_grad():
        for _ in range(3):
            before = once.refine(question, *before)
    expected, result = once.refine(question, *before), often.refine(question, answer, latent)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(result, expected, strict=True))
    assert size_of_graph(result[0]) == size_of_graph(expected[0])
    pairs = zip(gradients(often, result[0]), gradients(once, expected[0]), strict=True)
    assert all(torch.equal(ours, theirs) and ours.abs().max() > 0 for ours, theirs in pairs)


def test_gradients_survive_autocast_although_the_first_recursions_have_none() -> None:
    model = network(mixing="length", num_recursions=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answer, _ = model.refine(*start(model))
    full, _ = model.refine(*start(model))
    for ours, theirs in zip(gradients(model, answer), gradients(model, full), strict=True):
        assert F.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.99


def test_the_answer_sees_the_question_and_a_model_whose_answer_would_not_is_refused() -> None:
    model = network(num_latent_updates=1, num_recursions=1)
    question, answer, latent = start(model)
    assert not torch.allclose(model.refine(question, answer, latent)[0], model.refine(-question, answer, latent)[0])
    with pytest.raises(ValueError, match="num_latent_updates: 0 given.*it would never see the input"):
        network(num_latent_updates=0)


def test_start_values_are_saved_and_not_trained() -> None:
    model = network()
    fixed = {"initial_answer", "initial_latent"}
    assert fixed <= set(model.state_dict())
    assert not fixed & {name for name, _ in model.named_parameters()}
    assert not torch.equal(model.initial_answer, model.initial_latent)


@pytest.mark.parametrize("mixing", MIXINGS)
def test_lanes_are_independent(mixing: str) -> None:
    model = network(mixing=mixing)
    question, answer, latent = start(model)
    other = question.clone()
    other[0] += 1.0
    ours, theirs = (model.refine(given, answer, latent)[0] for given in (question, other))
    assert torch.equal(ours[1:], theirs[1:])
    assert not torch.allclose(ours[0], theirs[0])


def test_a_step_of_a_stream_depends_on_nothing_after_it() -> None:
    model = network()
    question, _, _ = start(model)
    changed = question.clone()
    changed[:, 4] += 1.0
    state = model.initial_state(3)
    ours, theirs = (model.encode(chunk, state)[0] for chunk in (question, changed))
    assert torch.equal(ours[:, :4], theirs[:, :4])
    assert not torch.isclose(ours[:, 4:], theirs[:, 4:]).all(dim=-1).any()


def test_the_next_chunk_starts_from_the_last_position() -> None:
    model = network(input_size=5, seq_len=None)
    chunks = torch.randn(3, 9, 5).split([6, 3], dim=1)
    output, state = model.encode(chunks[0], model.initial_state(3))
    assert output.shape == (3, 6, model.output_size)
    assert torch.equal(state[0], output[:, -1])
    continued, _ = model.encode(chunks[1], state)
    expected, _ = model.refine(chunks[1], *(tensor[:, None].expand(3, 3, -1) for tensor in state))
    assert torch.equal(continued, expected)
    assert not torch.allclose(continued, model.encode(chunks[1], model.initial_state(3))[0])


def test_a_document_that_starts_in_a_chunk_is_read_as_if_alone() -> None:
    model = network()
    chunk = torch.randn(2, 6, 16)
    reset = torch.zeros(2, 6, dtype=torch.bool)
    reset[0, 4] = True
    _, carried = model.encode(torch.randn(2, 3, 16), model.initial_state(2))
    output, state = model.encode_documents(chunk, carried, reset)
    alone, alone_state = model.encode(chunk[:1, 4:], model.initial_state(1))
    torch.testing.assert_close(output[:1, 4:], alone)
    torch.testing.assert_close(state[1][:1], alone_state[1])


def test_a_document_that_starts_beside_a_lane_does_not_change_it() -> None:
    model = network()
    chunk, reset = torch.randn(2, 6, 16), torch.zeros(2, 6, dtype=torch.bool)
    _, carried = model.encode(torch.randn(2, 3, 16), model.initial_state(2))
    quiet, _ = model.encode_documents(chunk, carried, reset)
    reset[1, [0, 4]] = True
    output, _ = model.encode_documents(chunk, carried, reset)
    assert torch.equal(output[0], quiet[0])
    assert not torch.equal(output[1, :4], quiet[1, :4])


@pytest.mark.parametrize("mixing", ["attention", "length"])
def test_a_stream_needs_causal_attention(mixing: str) -> None:
    model = network(mixing=mixing)
    with pytest.raises(ValueError, match=f"network.mixing: with '{mixing}' a step sees those after it"):
        model.encode(torch.randn(3, 6, 16), model.initial_state(3))


def test_mixing_over_the_length_is_a_gated_network_over_transposed_steps() -> None:
    mixing = LengthMixing(seq_len=6, expansion=4)
    steps = torch.randn(6, 3, 8)
    columns = steps.permute(1, 2, 0)
    expected = mixing.down(F.silu(mixing.gate(columns)) * mixing.value(columns)).permute(2, 0, 1)
    torch.testing.assert_close(mixing(steps), expected)
    with pytest.raises(ValueError, match="5 steps given, this network mixes exactly seq_len 6"):
        mixing(steps[:5])


def test_rotated_products_depend_on_the_distance_alone() -> None:
    query, key = (_rotate(torch.randn(8).expand(1, 1, 7, 8)) for _ in range(2))
    products = (query @ key.mT)[0, 0]
    torch.testing.assert_close(products[:-1, :-1], products[1:, 1:], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(products[0], products[0, 0].expand(7))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "network.hidden_size: 0 given, at least 1"),
        ({"num_recursions": 0}, "network.num_recursions: 0 given, at least 1"),
        ({"num_layers": 0}, "network.num_layers: 0 given"),
        ({"num_heads": 3}, "num_heads: 3 given, 16 features must split into heads of even width"),
        ({"mixing": "length", "seq_len": None}, "network.seq_len: none given"),
        ({"mixing": "mlp"}, "network.mixing: 'mlp' given, it must be"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**options)
