from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from models import DeltaMemory
from models.layers import Gate
from models.recurrent import Encoder
from models.recurrent.state import fill, leaves, map_state

D, L = 6, 24
VARIANTS = [
    {},
    {"momentum": True, "max_plasticity": 2.0, "feed_forward_size": 8},
    {"decay": False, "learn_prime": False, "kernel_size": 1},
    {"subtract_stored": False, "momentum": True},
]


def build(**options) -> DeltaMemory:
    """A small encoder in float64 whose primes are not zero."""
    torch.manual_seed(0)
    sizes = {"input_size": D, "num_slots": 4, "value_size": 3, "chunk_size": 8}
    encoder = DeltaMemory(**sizes | options).double()
    for layer in encoder.layers:
        if layer.prime is not None:
            torch.nn.init.normal_(layer.prime)
    return encoder


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def used_state(encoder: DeltaMemory, num_lanes: int):
    """A state that a document has left, with a graph of its own cut off."""
    with torch.no_grad():
        _, state = encoder.encode(draw(num_lanes, 5, D, seed=2), encoder.initial_state(num_lanes))
    return map_state(lambda tensor: tensor.requires_grad_(), state)


def results(encoder: DeltaMemory, output: Tensor, after, inputs: list[Tensor]) -> list[Tensor]:
    found = [output, *leaves(after)]
    loss = sum((tensor * draw(*tensor.shape, seed=index)).sum() for index, tensor in enumerate(found))
    wanted = [*inputs, *encoder.parameters()]
    return [*found, *torch.autograd.grad(loss, wanted, materialize_grads=True)]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-11)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    starts=st.lists(st.tuples(st.integers(0, 2), st.integers(0, L - 1)), max_size=8),
    options=st.sampled_from(VARIANTS),
)
@example(starts=[(0, 0), (2, 0)], options=VARIANTS[1])
def test_documents_in_a_chunk_are_read_as_if_it_were_cut(starts, options) -> None:
    encoder, chunk = build(**options), draw(3, L, D).requires_grad_()
    reset = torch.zeros(3, L, dtype=torch.bool)
    for lane, step in starts:
        reset[lane, step] = True
    state = used_state(encoder, 3)
    inputs = [chunk, *leaves(state)]
    whole = results(encoder, *encoder.encode_documents(chunk, state, reset), inputs)
    assert_same(whole, results(encoder, *Encoder.encode_documents(encoder, chunk, state, reset), inputs))


@pytest.mark.parametrize("options", VARIANTS)
@pytest.mark.parametrize("borders", [[8, 16], [1, 2, 23]])
def test_chunk_by_chunk_is_the_whole(options, borders: list[int]) -> None:
    encoder, chunk = build(**options), draw(2, L, D).requires_grad_()
    state = before = used_state(encoder, 2)
    outputs = []
    for first, last in pairwise([0, *borders, L]):
        output, state = encoder.encode(chunk[:, first:last], state)
        outputs.append(output)
    inputs = [chunk, *leaves(before)]
    pieces = results(encoder, torch.cat(outputs, dim=1), state, inputs)
    assert_same(pieces, results(encoder, *encoder.encode(chunk, before), inputs))


@pytest.mark.parametrize("options", VARIANTS)
def test_no_output_depends_on_what_comes_later(options) -> None:
    encoder, chunk = build(**options), draw(2, L, D)
    shuffled = torch.cat([chunk[:, :13], chunk[:, 13:].flip(1)], dim=1)
    state = encoder.initial_state(2)
    output, other = encoder.encode(chunk, state)[0], encoder.encode(shuffled, state)[0]
    torch.testing.assert_close(output[:, :13], other[:, :13], atol=1e-14, rtol=0)
    assert not torch.allclose(output[:, 13:], other[:, 13:])


def test_lanes_do_not_meet() -> None:
    encoder, chunk = build(momentum=True), draw(3, L, D)
    reset = draw(3, L, seed=4) > 1
    state = used_state(encoder, 3)
    together, after = encoder.encode_documents(chunk, state, reset)
    alone, left = encoder.encode_documents(chunk[1:2], map_state(lambda tensor: tensor[1:2], state), reset[1:2])
    torch.testing.assert_close(alone, together[1:2], atol=1e-13, rtol=0)
    for one, all_lanes in zip(leaves(left), leaves(after), strict=True):
        torch.testing.assert_close(one, all_lanes[1:2], atol=1e-13, rtol=0)


def test_gates_can_be_watched() -> None:
    encoder = build(momentum=True)
    gates = {name.split(".")[-1] for name, module in encoder.named_modules() if isinstance(module, Gate)}
    assert gates == {"plasticity", "decay", "momentum"}
    seen = []
    encoder.layers[1].plasticity.register_forward_hook(lambda module, inputs, openness: seen.append(openness))
    encoder.encode(draw(2, L, D), encoder.initial_state(2))
    (openness,) = seen
    assert openness.shape == (2, L, 2)
    assert 0 < openness.min() < openness.max() < 1


def test_a_learned_prime_gets_a_gradient_through_the_initial_state() -> None:
    encoder = build()
    encoder.encode(draw(2, L, D), encoder.initial_state(2))[0].square().sum().backward()
    assert all(layer.prime.grad.abs().min() > 0 for layer in encoder.layers)
    assert build(learn_prime=False).initial_state(2)[0].memory.content.abs().max() == 0


def test_autocast_comes_close_and_keeps_the_memory_in_float32() -> None:
    encoder, chunk = build(momentum=True).float(), draw(2, L, D).float()
    state = encoder.initial_state(2)
    with torch.autocast("cpu", torch.bfloat16):
        output, after = encoder.encode(chunk, state)
    output.float().sum().backward()
    assert after[0].memory.content.dtype == torch.float32
    assert F.cosine_similarity(output.float().flatten(), encoder.encode(chunk, state)[0].flatten(), dim=0) > 0.995


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("num_layers", 0, "at least 1 is needed"),
        ("num_heads", 0, "at least 1 is needed"),
        ("num_slots", -1, "at least 1 is needed"),
        ("value_size", 0, "at least 1 is needed"),
        ("kernel_size", 0, "at least 1 is needed"),
        ("feed_forward_size", 0, "at least 1 is needed"),
        ("chunk_size", 0, "at least 1 is needed"),
        ("max_plasticity", 2.5, "must be above 0 and at most 2"),
        ("max_plasticity", 0.0, "must be above 0 and at most 2"),
        ("dropout", 1.0, "must be at least 0 and below 1"),
    ],
)
def test_what_is_not_allowed_is_named(option: str, value: float, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"encoder.{option}: {value} given, {allowed}"):
        build(**{option: value})


def test_its_state_travels_through_a_checkpoint() -> None:
    encoder = build(momentum=True)
    state = used_state(encoder, 2)
    plain = [tensor.detach().clone() for tensor in leaves(state)]
    restored = fill(encoder.initial_state(2), plain)
    expected, found = (encoder.encode(draw(2, L, D), start)[0] for start in (state, restored))
    assert torch.equal(found, expected)
