"""Truncated backpropagation: what it equals, and what it must not let through."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from datamodules.streams.lanes import LaneBatches
from datamodules.streams.text_stream import TokenStream
from models.recurrent import Encoder, GRUEncoder, LSTMEncoder, RecurrentLanguageModel, RecurrentState
from models.recurrent.state import detach, fill, leaves, map_state, where_reset

VOCAB = 11


class LearnedStart(Encoder):
    """A plain tanh network in a dict state, which starts from a learned vector."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = self.output_size = 6
        self.cell = nn.RNNCell(6, 6)
        self.start = nn.Parameter(torch.randn(6))

    def initial_state(self, num_lanes: int) -> RecurrentState:
        return {"hidden": self.start.expand(num_lanes, 6), "unused": None}

    def encode(self, chunk: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        hidden, outputs = state["hidden"], []
        for step in chunk.unbind(1):
            hidden = self.cell(step, hidden)
            outputs.append(hidden)
        return torch.stack(outputs, 1), {"hidden": hidden, "unused": None}


def make_model(encoder: str = "lstm", chunk_size: int = 4) -> RecurrentLanguageModel:
    torch.manual_seed(0)
    encoders = {
        "lstm": lambda: LSTMEncoder(input_size=6, hidden_size=6, num_layers=2),
        "gru": lambda: GRUEncoder(input_size=6, hidden_size=6),
        "learned start": LearnedStart,
    }
    model = RecurrentLanguageModel(encoder=encoders[encoder](), vocab_size=VOCAB, chunk_size=chunk_size)
    return model.double().train()


def chunks(
    lengths: list[int], num_lanes: int, chunk_size: int, window: int | None = None, arrangement: str = "packed"
) -> Iterator[dict[str, Tensor]]:
    rng = np.random.default_rng(1)
    stream = TokenStream([rng.integers(0, VOCAB, length + 1) for length in lengths])
    batches = LaneBatches(
        documents=stream.documents,
        num_lanes=num_lanes,
        chunk_size=chunk_size,
        window=window or chunk_size,
        arrangement=arrangement,  # type: ignore[arg-type]
        seed=None,
        rank=0,
        world_size=1,
        position=lambda: (0, 0),
    )
    return (stream.__getitems__(chunk) for chunk in batches)


def summed_gradients(model: RecurrentLanguageModel, batches: Iterator[dict[str, Tensor]]) -> dict[str, Tensor]:
    model.zero_grad()
    for batch in batches:
        output = model.step(batch)
        (output.loss * output.weight).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def largest_difference(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).detach().abs().max()) for name in ours)


@pytest.mark.parametrize("encoder", ["lstm", "gru", "learned start"])
@pytest.mark.parametrize("lengths", [[24], [9, 3, 12], [20, 4]])
def test_a_window_as_long_as_the_stream_gives_the_gradient_of_full_backpropagation(
    encoder: str, lengths: list[int]
) -> None:
    full = summed_gradients(make_model(encoder, 24), chunks(lengths, 1, 24))
    truncated = summed_gradients(make_model(encoder, 4), chunks(lengths, 1, 4, window=24))
    assert largest_difference(full, truncated) <= 1e-12


def test_a_shorter_window_gives_another_gradient_but_the_same_loss() -> None:
    full, truncated = (make_model(chunk_size=size) for size in (24, 4))
    short = summed_gradients(truncated, chunks([24], 1, 4, window=8))
    assert largest_difference(summed_gradients(full, chunks([24], 1, 24)), short) > 1e-6
    losses = [
        sum(float(output.loss.detach()) * output.weight for output in map(model.step, chunks([24], 1, size, window)))
        for model, size, window in ((full, 24, 24), (truncated, 4, 8))
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)


def test_training_equals_a_plain_loop_that_detaches() -> None:
    ours, plain = make_model(), make_model()
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.5) for model in (ours, plain)]
    state = plain.initial_state(2)
    state = plain.initial_state(2)
    for batch in chunks([40], 2, 4):
        optimizers[0].zero_grad()
        ours.step(batch).loss.backward()
        optimizers[0].step()

        optimizers[1].zero_grad()
        logits, after = plain.advance(batch["tokens"], tuple(tensor.detach() for tensor in state))
        nn.functional.cross_entropy(logits[batch["valid"]], batch["targets"][batch["valid"]]).backward()
        optimizers[1].step()
        state = after
    assert largest_difference(dict(ours.named_parameters()), dict(plain.named_parameters())) <= 1e-15


def test_no_gradient_crosses_a_chunk() -> None:
    model = make_model()
    first, second, *_ = chunks([40], 2, 4)
    model.step(first)
    carried = leaves(model.state_for(second))
    assert not any(tensor.requires_grad or tensor.grad_fn for tensor in carried)


def test_a_learned_initial_state_gets_a_gradient_wherever_a_document_starts() -> None:
    model = make_model("learned start")
    batches = list(chunks([6, 10], 1, 4))
    model.step(batches[0]).loss.backward()
    assert model.encoder.start.grad.abs().sum() > 0
    model.zero_grad()
    model.step(batches[1]).loss.backward()  # the second document starts within this chunk
    assert model.encoder.start.grad.abs().sum() > 0
    model.zero_grad()
    model.step(batches[2]).loss.backward()
    assert model.encoder.start.grad.abs().sum() == 0


@pytest.mark.slow
def test_memory_is_flat_over_a_thousand_chunks() -> None:
    model = make_model("learned start")
    counts = []
    for index, batch in enumerate(chunks([4004], 1, 4)):
        model.step(batch).loss.backward()
        model.zero_grad()
        if index in (10, 1000):
            gc.collect()
            counts.append(sum(issubclass(type(item), Tensor) for item in gc.get_objects()))
    assert len(counts) == 2
    assert counts[1] <= counts[0]


@pytest.mark.parametrize("encoder", ["lstm", "gru", "learned start"])
def test_lanes_do_not_see_each_other(encoder: str) -> None:
    models = [make_model(encoder).eval() for _ in range(2)]
    with torch.no_grad():
        for batch in chunks([25, 30, 7], 3, 4):
            changed = {name: value.clone() for name, value in batch.items()}
            changed["tokens"][1] = (changed["tokens"][1] + 3) % VOCAB
            outputs = [
                model.hidden(given, model.state_for(given))[0]
                for model, given in zip(models, (batch, changed), strict=True)
            ]
            for model, given in zip(models, (batch, changed), strict=True):
                model.step(given)
            assert torch.equal(outputs[0][[0, 2]], outputs[1][[0, 2]])
            assert not torch.equal(outputs[0][1], outputs[1][1])


@given(
    lengths=st.lists(st.integers(1, 13), min_size=1, max_size=5),
    arrangement=st.sampled_from(["packed", "aligned"]),
    chunk_size=st.integers(1, 9),
)
@settings(max_examples=40, deadline=None)
def test_documents_on_a_lane_are_read_as_if_each_were_alone(
    lengths: list[int], arrangement: str, chunk_size: int
) -> None:
    model = make_model(chunk_size=chunk_size).eval()
    with torch.no_grad():
        together = [model.step(batch) for batch in chunks(lengths, 1, chunk_size, arrangement=arrangement)]
        stream_loss = sum(float(output.loss) * output.weight for output in together)
        alone = 0.0
        rng = np.random.default_rng(1)
        for length in lengths:
            tokens = torch.from_numpy(rng.integers(0, VOCAB, length + 1))[None]
            logits = model(tokens[:, :-1])
            alone += float(nn.functional.cross_entropy(logits[0], tokens[0, 1:], reduction="sum"))
    assert sum(output.weight for output in together) == sum(lengths)
    assert stream_loss == pytest.approx(alone, rel=1e-10)


def test_validation_in_the_middle_of_an_epoch_leaves_the_training_state_alone() -> None:
    model = make_model()
    first, second, *_ = chunks([40], 2, 4)
    model.step(first)
    before = [tensor.clone() for tensor in leaves(model.state_for(second))]
    model.eval()
    for batch in chunks([30], 3, 4):
        model.step(batch)
    model.train()
    assert all(torch.equal(a, b) for a, b in zip(before, leaves(model.state_for(second)), strict=True))


def test_a_chunk_whose_state_was_never_carried_is_refused() -> None:
    _, second, *_ = chunks([40], 2, 4)
    with pytest.raises(ValueError, match="a chunk continues 2 streams, and a state of 0 was carried to it"):
        make_model().step(second)


@pytest.mark.filterwarnings("ignore:this CPU has no LSTM in half precision")
def test_state_stays_float32_under_autocast() -> None:
    model = make_model().float()
    for batch in chunks([40], 2, 4):
        with torch.autocast("cpu", torch.bfloat16):
            model.step(batch)
        assert {tensor.dtype for tensor in leaves(model.state_for(batch))} == {torch.float32}


def test_a_cpu_without_an_lstm_in_bfloat16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.recurrent.gated._is_missing_half_lstm", lambda _: torch.is_autocast_enabled("cpu"))
    encoder = LSTMEncoder(input_size=6, hidden_size=6).eval()
    chunk, state = torch.randn(2, 5, 6).bfloat16(), encoder.initial_state(2)
    with torch.autocast("cpu", torch.bfloat16), pytest.warns(UserWarning, match="computes in float32"):
        output, _ = encoder.encode(chunk, state)
    assert torch.equal(output, encoder.encode(chunk.float(), state)[0])


@dataclass
class Pair:
    one: Tensor
    two: tuple[Tensor, None]


def test_states_are_trees_of_tuples_dicts_and_dataclasses() -> None:
    state = {"a": Pair(torch.ones(3, 2), (torch.zeros(3, dtype=torch.int64), None)), "b": [torch.full((3, 1), 2.0)]}
    assert [tuple(tensor.shape) for tensor in leaves(state)] == [(3, 2), (3,), (3, 1)]
    doubled = map_state(lambda tensor: tensor * 2, state)
    assert isinstance(doubled["a"], Pair)
    assert doubled["b"][0].eq(4).all()
    mixed = where_reset(torch.tensor([True, False, False]), state, doubled)
    assert mixed["a"].one[:, 0].tolist() == [1, 2, 2]
    assert leaves(fill(state, leaves(doubled)))[0].eq(2).all()
    assert detach(map_state(lambda tensor: tensor.double(), state), like=state)["b"][0].dtype == torch.float32
    with pytest.raises(ValueError, match="this model carries"):
        fill(state, leaves(doubled)[:2])
    with pytest.raises(ValueError, match="not str"):
        map_state(lambda tensor: tensor, "hidden")


def test_weight_drop_changes_training_only() -> None:
    torch.manual_seed(0)
    encoder = LSTMEncoder(input_size=6, hidden_size=6, weight_drop=0.5)
    chunk, state = torch.randn(2, 5, 6), encoder.initial_state(2)
    first, second = (encoder.encode(chunk, state)[0] for _ in range(2))
    assert not torch.equal(first, second)
    encoder.eval()
    expected, _ = encoder.rnn(chunk)
    assert torch.equal(encoder.encode(chunk, state)[0], expected)


@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_start_in_the_range_that_is_given(tied: bool) -> None:
    def make(embedding_range: float) -> RecurrentLanguageModel:
        encoder = LSTMEncoder(input_size=6, hidden_size=6)
        return RecurrentLanguageModel(
            encoder=encoder, vocab_size=500, chunk_size=4, tie_embeddings=tied, embedding_range=embedding_range
        )

    model = make(0.5)
    assert 0.49 < model.embedding.weight.abs().max() <= 0.5
    assert (model.output.weight is model.embedding.weight) == tied
    assert not model.output.bias.any()
    with pytest.raises(ValueError, match=r"model.embedding_range: 0 given, more than 0 is needed, or null"):
        make(0)


@pytest.mark.parametrize("kind", [LSTMEncoder, GRUEncoder])
def test_layers_that_run_one_after_the_other_are_those_of_the_whole_stack(
    kind: type[LSTMEncoder] | type[GRUEncoder],
) -> None:
    torch.manual_seed(0)
    encoder = kind(input_size=6, hidden_size=5, num_layers=3, dropout=1e-6, locked_dropout=True)  # drops nothing
    chunk = torch.randn(2, 7, 6)
    state = map_state(torch.randn_like, encoder.initial_state(2))
    one_by_one, after = encoder.encode(chunk, state)
    whole, expected = encoder.eval().encode(chunk, state)
    torch.testing.assert_close(one_by_one, whole)
    torch.testing.assert_close(after, expected)


def test_locked_dropout_drops_features_of_a_layer_for_a_whole_chunk() -> None:
    torch.manual_seed(0)
    encoder = LSTMEncoder(input_size=3, hidden_size=4, num_layers=2, dropout=0.5, locked_dropout=True)
    read: list[Tensor] = []
    assert encoder.locked_dropout is not None
    encoder.locked_dropout.register_forward_hook(lambda _, __, output: read.append(output))
    chunk, state = torch.randn(2, 9, 3), encoder.initial_state(2)
    outputs = [encoder.encode(chunk, state)[0] for _ in range(2)]
    dropped = (read[0] == 0).float().mean(dim=1)  # share of the steps, per lane and feature
    assert set(dropped.flatten().tolist()) == {0.0, 1.0}
    assert not torch.equal(*outputs)


def test_the_language_model_continues_a_text_as_it_read_it() -> None:
    model = make_model().eval()
    prompt = torch.tensor([[1, 2, 3], [4, 5, 6]])
    continued = model.generate(prompt, 5, temperature=0)
    assert torch.equal(continued[:, :3], prompt)
    for end in range(3, 8):
        assert torch.equal(model(continued[:, :end])[:, -1].argmax(-1), continued[:, end])
