import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules import RecallDataModule
from datamodules.generated import GeneratedBatches
from datamodules.puzzles.recall import RecallTask


def assert_answers_are_right(batch: dict[str, torch.Tensor], task: RecallTask) -> None:
    """Reads every sequence as one who keeps a table would."""
    half = task.vocab_size // 2
    context = (4 if task.rewritten else 2) * task.num_pairs
    for tokens, targets, valid in zip(*(batch[name].tolist() for name in ("tokens", "targets", "valid")), strict=True):
        table: dict[int, int] = {}
        for key, value in zip(tokens[0:context:2], tokens[1:context:2], strict=True):
            assert 0 < key < half <= value < task.vocab_size
            assert table.get(key) != value
            table[key] = value
        assert len(table) == task.num_pairs
        asked = {step: tokens[step] for step in range(context, task.seq_len) if tokens[step]}
        assert sorted(asked.values()) == sorted(table)
        assert [step for step, counts in enumerate(valid) if counts] == list(asked)
        assert all(targets[step] == table[key] for step, key in asked.items())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    num_pairs=st.integers(1, 9),
    spare_steps=st.integers(0, 9),
    spare_tokens=st.integers(0, 20),
    rewritten=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_answer_is_the_latest_value_of_its_key(num_pairs, spare_steps, spare_tokens, rewritten, seed) -> None:
    data = RecallDataModule(
        seq_len=(6 if rewritten else 4) * num_pairs + spare_steps,
        num_pairs=num_pairs,
        vocab_size=max(2 * num_pairs + 2, 4) + spare_tokens,
        rewritten=rewritten,
    )
    batch = data.task.draw(np.random.default_rng(seed), 5)
    assert_answers_are_right(batch, data.task)
    assert batch["reset"][:, 0].all()
    assert not batch["reset"][:, 1:].any()


def test_batches_have_what_a_stream_needs() -> None:
    data = RecallDataModule(batch_size=4, num_train=12, num_val=6, num_test=5, eval_batch_size=3)
    assert (data.vocab_size, data.chunk_size) == (256, 64)
    train, val, test = data.train_dataloader(), data.val_dataloader(), data.test_dataloader()
    assert [len(loader) for loader in (train, val, test)] == [3, 2, 2]
    for loader, sizes in ((train, [4, 4, 4]), (val, [3, 3]), (test, [3, 2])):
        batches = list(loader)
        assert [len(batch["tokens"]) for batch in batches] == sizes
        for batch in batches:
            assert {name: (x.shape[1], x.dtype) for name, x in batch.items()} == {
                "tokens": (64, torch.int64),
                "targets": (64, torch.int64),
                "valid": (64, torch.bool),
                "reset": (64, torch.bool),
            }
            assert_answers_are_right(batch, data.task)


def draw(*, epoch: int = 0, first: int = 0, rank: int = 0, seed: int = 0) -> list[torch.Tensor]:
    data = RecallDataModule(batch_size=4, num_train=24)
    dataset = data.dataset("train")
    keys = GeneratedBatches(size=24, batch_size=4, seed=seed, rank=rank, world_size=2, position=lambda: (epoch, first))
    return [dataset.__getitems__(key)["tokens"] for key in keys]


def test_a_batch_is_a_function_of_its_place_alone() -> None:
    whole = draw(epoch=1)
    assert len(whole) == 3
    resumed = draw(epoch=1, first=2)
    assert len(resumed) == 1
    assert torch.equal(resumed[0], whole[2])


def test_seeds_epochs_steps_and_ranks_draw_different_batches() -> None:
    found = [*draw(), *draw(epoch=1), *draw(rank=1), *draw(seed=1)]
    assert len({batch.numpy().tobytes() for batch in found}) == len(found)


@pytest.mark.parametrize("rewritten", [False, True])
def test_validation_and_test_are_fixed_and_apart_from_training(rewritten: bool) -> None:
    def rows(batch: dict[str, torch.Tensor]) -> set[bytes]:
        return {row.numpy().tobytes() for row in batch["tokens"]}

    data = RecallDataModule(num_train=64 * 5, num_val=200, num_test=200, rewritten=rewritten)
    again = RecallDataModule(num_train=64, num_val=200, num_test=200, rewritten=rewritten, batch_size=8)
    everything = np.arange(200)
    val, test = (rows(data.dataset(split).__getitems__(everything)) for split in ("val", "test"))
    train = set().union(*map(rows, data.train_dataloader()))
    assert (len(train), len(val), len(test)) == (320, 200, 200)
    assert train.isdisjoint(val | test)
    assert val.isdisjoint(test)
    assert val == rows(again.dataset("val").__getitems__(everything))
    assert data.fingerprint()["sha256"] == again.fingerprint()["sha256"]


def test_queries_follow_a_power_law() -> None:
    batch = RecallTask(128, 1, 16, rewritten=False).draw(np.random.default_rng(0), 20_000)
    gap = (batch["valid"].int().argmax(dim=1) - 2) // 2 + 1
    counts = torch.bincount(gap, minlength=64)[1:64].double()
    expected = torch.arange(1, 64).double() ** -0.99
    torch.testing.assert_close(counts / counts.sum(), expected / expected.sum(), atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seq_len": 31}, "data.seq_len: 31 given, binding and asking 8 keys needs at least 32"),
        (
            {"seq_len": 47, "rewritten": True},
            "data.seq_len: 47 given, binding each twice and asking 8 keys needs at least 48",
        ),
        ({"vocab_size": 17}, "data.vocab_size: 17 given, 8 pairs need at least 18"),
        ({"num_pairs": 0}, "data.num_pairs: 0 given, at least 1 is needed"),
        ({"num_test": 0}, "data.num_test: 0 given, at least 1 is needed"),
        ({"batch_size": 0}, "data.batch_size: 0 given, at least 1 is needed"),
    ],
)
def test_what_is_not_allowed_is_named(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecallDataModule(**options)


def test_an_epoch_holds_a_batch() -> None:
    with pytest.raises(ValueError, match="data.batch_size: 64 x 1 processes is more than the 10 training samples"):
        RecallDataModule(num_train=10).train_dataloader()


def test_predict_reads_the_test_sequences() -> None:
    data = RecallDataModule()
    predicted, tested = (next(iter(loader)) for loader in (data.predict_dataloader(), data.test_dataloader()))
    assert torch.equal(predicted["tokens"], tested["tokens"])
