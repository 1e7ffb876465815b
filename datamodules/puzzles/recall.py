"""Multi-query associative recall (MQAR): sequences that bind keys to values and then query the keys."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from datamodules.base import Split
from datamodules.generated import GeneratedDataModule

_POWER = 0.01
_NOTHING = 0


@dataclass(frozen=True)
class RecallTask:
    """Generator of sequences; its fields are arguments of `RecallDataModule`.

    A sequence is: key, value, key, value, ..., then the same keys as queries, each at an even distance from the end of
    the bindings, sampled from a power law without replacement, with padding (token 0) in between. Keys are tokens of
    the lower half of the vocabulary, values of the upper. The target of a query is the value last bound to its key.
    """

    seq_len: int
    num_pairs: int
    vocab_size: int
    rewritten: bool

    def draw(self, rng: np.random.Generator, num_sequences: int) -> dict[str, Tensor]:
        """Generates tokens and targets int64, valid and reset bool, all (N, T)."""
        rows, pairs, times = num_sequences, self.num_pairs, 2 if self.rewritten else 1
        smallest_value = self.vocab_size // 2
        keys = _distinct(rng, rows, pairs, smallest_value - 1) + 1
        values = _distinct(rng, rows * pairs, times, self.vocab_size - smallest_value) + smallest_value
        values = values.reshape(rows, pairs, times)

        order = np.tile(np.arange(pairs), (rows, times))  # key index of each binding
        if times > 1:
            order = rng.permuted(order, axis=1)
        positions = np.argsort(order, axis=1, kind="stable")  # by key, then by time
        bound = np.empty_like(order)
        np.put_along_axis(bound, positions, values.reshape(rows, -1), axis=1)

        context = 2 * times * pairs
        gaps = np.arange(1, (self.seq_len - context) // 2 + 1)
        # Gumbel top-k: log probabilities plus Gumbel noise sample without replacement.
        noisy = (_POWER - 1) * np.log(gaps) + rng.gumbel(size=(rows, len(gaps)))
        query_positions = context + 2 * np.argsort(-noisy, axis=1, kind="stable")[:, :pairs]

        tokens = np.full((rows, self.seq_len), _NOTHING)
        tokens[:, 0:context:2] = np.take_along_axis(keys, order, axis=1)
        tokens[:, 1:context:2] = bound
        targets, valid, reset = np.zeros_like(tokens), np.zeros_like(tokens, bool), np.zeros_like(tokens, bool)
        np.put_along_axis(tokens, query_positions, keys, axis=1)
        np.put_along_axis(targets, query_positions, values[..., -1], axis=1)
        np.put_along_axis(valid, query_positions, True, axis=1)
        reset[:, 0] = True
        batch = {"tokens": tokens, "targets": targets, "valid": valid, "reset": reset}
        return {name: torch.from_numpy(table) for name, table in batch.items()}


class GeneratedRecall:
    """Sequences generated batch by batch.

    Args:
        task: Generator of the sequences.
        size: Sequences per epoch.
        batch_size: Sequences per batch.
    """

    def __init__(self, task: RecallTask, *, size: int, batch_size: int) -> None:
        self.task = task
        self.size = size
        self.batch_size = batch_size

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, key: np.ndarray) -> dict[str, Tensor]:
        """Generates the batch of a key."""
        return self.task.draw(np.random.default_rng(key), self.batch_size)


class FixedRecall:
    """A fixed set of sequences.

    Args:
        task: Generator of the sequences.
        size: Number of sequences.
        number: Index of the set, part of its seed.
    """

    def __init__(self, task: RecallTask, *, size: int, number: int) -> None:
        # Five words: numpy pads shorter keys with zeros, so [s, 1] would be the training batch [s, 1, 0, 0].
        self.table = task.draw(np.random.default_rng([0, 0, 0, 0, number]), size)

    def __len__(self) -> int:
        return len(self.table["tokens"])

    def __getitems__(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Gathers the sequences of an array of indices."""
        rows = torch.from_numpy(indices)
        return {name: table[rows] for name, table in self.table.items()}


class RecallDataModule(GeneratedDataModule):
    """Multi-query associative recall (Arora et al., ICLR 2024), and a harder variant in which bindings change.

    Each sequence binds keys to values and then queries each key. Training sequences are generated anew in every epoch;
    validation and test are fixed sets, the same for all seeds of a run. Batches have `tokens`, `targets`, `valid` (True
    at queries) and `reset` (True at the first step), all (B, T).

    Args:
        seq_len: Tokens of a sequence, T.
        num_pairs: Keys of a sequence.
        vocab_size: Tokens: one for padding, the lower half for keys, the upper for values.
        num_train: Training sequences per epoch.
        num_val: Validation sequences.
        num_test: Test sequences.
        rewritten: Bind each key twice, to different values and in any order; the later one is the target.
        batch_size: Sequences per training batch and process.
        eval_batch_size: Maximum sequences per batch outside training; None for `batch_size`.
        num_workers: Worker processes that generate batches.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments = ("chunk_size", "vocab_size")
    sample_name = "sequences"

    def __init__(
        self,
        *,
        seq_len: int = 64,
        num_pairs: int = 8,
        vocab_size: int = 256,
        num_train: int = 20_000,
        num_val: int = 1_000,
        num_test: int = 1_000,
        rewritten: bool = False,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, pin_memory=pin_memory
        )
        counts = {"num_pairs": num_pairs, "num_train": num_train, "num_val": num_val, "num_test": num_test}
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"data.{name}: {value} given, at least 1 is needed")
        shortest = (6 if rewritten else 4) * num_pairs
        if seq_len < shortest:
            bindings = "binding each twice and asking" if rewritten else "binding and asking"
            raise ValueError(f"data.seq_len: {seq_len} given, {bindings} {num_pairs} keys needs at least {shortest}")
        smallest = max(2 * num_pairs + 2, 4)
        if vocab_size < smallest:
            raise ValueError(f"data.vocab_size: {vocab_size} given, {num_pairs} pairs need at least {smallest}")
        self.task = RecallTask(seq_len, num_pairs, vocab_size, rewritten)
        self.sizes = {"train": num_train, "val": num_val, "test": num_test}

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return self.task.vocab_size

    @property
    def chunk_size(self) -> int:
        """Steps per chunk of the stream: a whole sequence."""
        return self.task.seq_len

    @override
    def dataset(self, split: Split) -> GeneratedRecall | FixedRecall:
        if split == "train":
            return GeneratedRecall(self.task, size=self.sizes["train"], batch_size=self.batch_size)
        held_out = "val" if split == "val" else "test"
        return FixedRecall(self.task, size=self.sizes[held_out], number={"val": 1, "test": 2}[held_out])

    def fingerprint(self) -> dict[str, Any]:
        """Task, and checksum of the test set."""
        digest = hashlib.sha256()
        for table in self.dataset("test").__getitems__(np.arange(self.sizes["test"])).values():
            digest.update(table.numpy().tobytes())
        return {"source": "recall", **vars(self.task), **self.sizes, "sha256": digest.hexdigest()}

    def protocol(self) -> dict[str, Any]:
        """Task and sizes of the test."""
        task = self.task
        kind = "each key bound twice, the later value counts" if task.rewritten else "each key bound once"
        return {
            "data": f"multi-query associative recall, {task.num_pairs} keys in {task.seq_len} tokens, "
            f"vocabulary {task.vocab_size:,}; {kind}",
            "split": f"{self.sizes['train']:,} training sequences drawn anew in every epoch; fixed sets of "
            f"{self.sizes['val']:,} for validation and {self.sizes['test']:,} for test, none dropped",
            "targets": "the value at each query; no other step counts",
            "selection": "on the validation split only",
        }


def _distinct(rng: np.random.Generator, rows: int, count: int, below: int) -> np.ndarray:
    """Rows of `count` distinct integers below `below`, every ordered choice equally likely (Floyd's algorithm)."""
    chosen = np.full((rows, count), -1)
    for column, last in enumerate(range(below - count, below)):
        candidates = rng.integers(0, last + 1, rows)
        taken = (chosen == candidates[:, None]).any(axis=1)
        chosen[:, column] = np.where(taken, last, candidates)
    return rng.permuted(chosen, axis=1)
