from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.layers import Memory, chunkwise_delta_rule, recurrent_delta_rule

B, H, K, V = 2, 2, 5, 3
TOLERANCE = 1e-12


class Case:
    """Random arguments of the rule in float64, and its results with all gradients."""

    def __init__(
        self,
        *,
        length: int,
        seed: int = 0,
        decay: bool = True,
        momentum: bool = False,
        subtract_stored: bool = True,
        prime: bool = False,
        carried: bool = True,
        reset: Tensor | None = None,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.streams = {
            "query": draw(B, H, length, K),
            "key": F.normalize(draw(B, H, length, K), dim=-1),
            "value": draw(B, H, length, V),
            "plasticity": 2 * draw(B, H, length).sigmoid(),
        }
        if decay:
            self.streams["log_decay"] = F.logsigmoid(draw(B, H, length) + 2)
        if momentum:
            self.streams["log_momentum"] = F.logsigmoid(draw(B, H, length))
        self.prime = draw(H, K, V) if prime else None
        self.content = draw(B, H, K, V) if carried else None
        self.momentum = draw(B, H, K, V) if carried and momentum else None
        self.reset = reset
        self.subtract_stored = subtract_stored
        self.leaves = [
            tensor.requires_grad_()
            for tensor in (*self.streams.values(), self.prime, self.content, self.momentum)
            if tensor is not None
        ]

    @property
    def memory(self) -> Memory | None:
        return None if self.content is None else Memory(self.content, self.momentum)

    def run(self, rule: Callable[..., tuple[Tensor, Memory]], **options: int) -> list[Tensor]:
        """Output, memory, and their gradients in everything that has one."""
        output, after = rule(
            **self.streams,
            memory=self.memory,
            prime=self.prime,
            reset=self.reset,
            subtract_stored=self.subtract_stored,
            **options,
        )
        return self.results(output, after)

    def results(self, output: Tensor, after: Memory) -> list[Tensor]:
        found = [output, after.content, *([] if after.momentum is None else [after.momentum])]
        generator = torch.Generator().manual_seed(1)
        weights = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in found]
        loss = sum((x * weight).sum() for x, weight in zip(found, weights, strict=True))
        return [*found, *torch.autograd.grad(loss, self.leaves, materialize_grads=True)]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= TOLERANCE * max(1.0, other.abs().max().item())


def document_by_document(case: Case) -> tuple[Tensor, Memory]:
    """The recurrent rule on every document of every lane by itself."""
    outputs, contents, momenta = [], [], []
    for lane in range(B):
        starts = case.reset[lane].nonzero().flatten().tolist()
        length = case.reset.shape[1]
        parts = []
        memory = Memory(case.content[lane, None], None if case.momentum is None else case.momentum[lane, None])
        for first, last in pairwise(sorted({0, *starts, length})):
            if first in starts:
                memory = Memory(torch.zeros_like(memory.content) if case.prime is None else case.prime[None])
            cut = {name: x[lane, None, :, first:last] for name, x in case.streams.items()}
            output, memory = recurrent_delta_rule(**cut, memory=memory, subtract_stored=case.subtract_stored)
            parts.append(output)
        outputs.append(torch.cat(parts, dim=2))
        contents.append(memory.content)
        momenta.append(memory.momentum)
    momentum = None if case.momentum is None else torch.cat(momenta)
    return torch.cat(outputs), Memory(torch.cat(contents), momentum)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    length=st.integers(1, 40),
    chunk_size=st.sampled_from([1, 4, 16, 64]),
    decay=st.booleans(),
    momentum=st.booleans(),
    subtract_stored=st.booleans(),
    prime=st.booleans(),
    carried=st.booleans(),
    starts=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 39)), max_size=8),
    seed=st.integers(0, 1000),
)
def test_chunkwise_and_recurrent_agree(length, chunk_size, starts, **options) -> None:
    reset = torch.zeros(B, 40, dtype=torch.bool)
    for lane, step in starts:
        reset[lane, step] = True
    case = Case(length=length, reset=reset[:, :length] if starts else None, **options)
    assert_same(case.run(chunkwise_delta_rule, chunk_size=chunk_size), case.run(recurrent_delta_rule))


@pytest.mark.parametrize("prime", [False, True])
@pytest.mark.parametrize("momentum", [False, True])
def test_packed_documents_are_separate_documents(prime: bool, momentum: bool) -> None:
    reset = torch.zeros(B, 50, dtype=torch.bool)
    reset[0, [7, 8, 16, 32, 49]] = True  # adjacent, on chunk borders, at the last step
    reset[1, [0, 1, 31]] = True
    case = Case(length=50, momentum=momentum, prime=prime, reset=reset)
    separate = case.results(*document_by_document(case))
    assert_same(case.run(chunkwise_delta_rule, chunk_size=16), separate)
    assert_same(case.run(recurrent_delta_rule), separate)


@pytest.mark.parametrize("rule", [chunkwise_delta_rule, recurrent_delta_rule])
def test_two_halves_are_the_whole(rule) -> None:
    reset = torch.zeros(B, 37, dtype=torch.bool)
    reset[0, [3, 21]] = True
    case = Case(length=37, momentum=True, prime=True, reset=reset)
    outputs, memory = [], case.memory
    for part in (slice(0, 21), slice(21, 37)):
        cut = {name: x[:, :, part] for name, x in case.streams.items()}
        output, memory = rule(**cut, memory=memory, prime=case.prime, reset=reset[:, part])
        outputs.append(output)
    assert_same(case.results(torch.cat(outputs, dim=2), memory), case.run(rule))


@pytest.mark.parametrize("rule", [chunkwise_delta_rule, recurrent_delta_rule])
def test_without_momentum_left_it_is_the_gated_delta_rule(rule) -> None:
    case = Case(length=30)
    plain, _ = rule(**case.streams)
    closed, _ = rule(**case.streams, log_momentum=torch.full((B, H, 30), -60.0, dtype=torch.float64))
    torch.testing.assert_close(closed, plain, atol=1e-12, rtol=0)


@pytest.mark.parametrize("rule", [chunkwise_delta_rule, recurrent_delta_rule])
def test_what_is_overwritten_is_read_back_exactly(rule) -> None:
    """Every key of an orthonormal set is bound three times; the last value counts, or the sum if it adds."""
    generator = torch.Generator().manual_seed(0)
    keys = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64)).Q
    values = torch.randn(3, 8, V, generator=generator, dtype=torch.float64)
    written = {
        "key": keys.repeat(3, 1)[None, None],
        "value": values.flatten(0, 1)[None, None],
        "query": torch.zeros(1, 1, 24, 8, dtype=torch.float64),
        "plasticity": torch.ones(1, 1, 24, dtype=torch.float64),
    }
    for subtract_stored, expected in ((True, values[-1]), (False, values.sum(dim=0))):
        _, memory = rule(**written, subtract_stored=subtract_stored)
        torch.testing.assert_close(keys @ memory.content[0, 0], expected, atol=1e-13, rtol=0)


def test_strong_forgetting_leaves_gradients_finite() -> None:
    case = Case(length=64, momentum=True)
    for name in ("log_decay", "log_momentum"):
        with torch.no_grad():
            case.streams[name].sub_(80.0)
    assert all(x.isfinite().all() for x in case.run(chunkwise_delta_rule, chunk_size=64))


def test_half_precision_is_computed_in_float32() -> None:
    case = Case(length=70)
    exact, memory = chunkwise_delta_rule(**{name: x.detach().bfloat16().double() for name, x in case.streams.items()})
    with torch.autocast("cpu", torch.bfloat16):
        output, half = chunkwise_delta_rule(**{name: x.detach().bfloat16() for name, x in case.streams.items()})
    assert (output.dtype, half.content.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(half.content.double(), memory.content, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.double(), exact, atol=2e-2, rtol=1e-2)


def test_a_chunk_needs_a_step() -> None:
    with pytest.raises(ValueError, match="chunk_size: 0 given, at least 1 is needed"):
        chunkwise_delta_rule(**Case(length=3).streams, chunk_size=0)
