"""SudokuDataModule: Sudoku as a supervised task, from the givens to the unique solution."""

import hashlib
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from datamodules.base import BatchedDataset, Split
from datamodules.generated import GeneratedDataModule
from datamodules.puzzles.sudoku_generator import BOX_SHAPES, FEWEST_GIVENS, generate_puzzles

_DEFAULT_GIVENS = {4: (4, 7), 6: (12, 15), 9: (24, 32)}


class Puzzles:
    """Puzzles and their solutions, gathered by index.

    Args:
        puzzles: int64 (N, L), 0 where the cell is empty.
        solutions: int64 (N, L).
    """

    def __init__(self, puzzles: np.ndarray, solutions: np.ndarray) -> None:
        self.puzzles = puzzles
        self.solutions = solutions

    def __len__(self) -> int:
        return len(self.puzzles)

    def __getitems__(self, indices: np.ndarray) -> dict[str, Tensor]:
        """`puzzle` and `solution`, int64 (B, L) each."""
        return _batch(self.puzzles[indices], self.solutions[indices])


class SampledPuzzles:
    """Batches of puzzles sampled with replacement.

    Args:
        puzzles: int64 (N, L), 0 for an empty cell.
        solutions: int64 (N, L).
        batch_size: Puzzles per batch B.
        relabel: Whether to rename the digits of each sampled puzzle at random.
    """

    def __init__(self, puzzles: np.ndarray, solutions: np.ndarray, *, batch_size: int, relabel: bool) -> None:
        self.puzzles = puzzles
        self.solutions = solutions
        self.batch_size = batch_size
        self.relabel = relabel

    def __len__(self) -> int:
        return len(self.puzzles)

    def __getitems__(self, key: np.ndarray) -> dict[str, Tensor]:
        """Samples the batch of a key of `GeneratedBatches`: `puzzle` and `solution`, int64 (B, L) each."""
        rng = np.random.default_rng(key)
        chosen = rng.integers(len(self.puzzles), size=self.batch_size)
        puzzles, solutions = self.puzzles[chosen], self.solutions[chosen]
        if self.relabel:
            digits = np.arange(1, solutions.max() + 1)
            names = np.zeros((self.batch_size, len(digits) + 1), dtype=np.int64)  # column 0: empty stays empty
            names[:, 1:] = rng.permuted(np.broadcast_to(digits, (self.batch_size, len(digits))), axis=1)
            puzzles = np.take_along_axis(names, puzzles, axis=1)
            solutions = np.take_along_axis(names, solutions, axis=1)
        return _batch(puzzles, solutions)


class SudokuDataModule(GeneratedDataModule):
    """Sudoku puzzles with a unique solution, generated from a separate seed.

    No two puzzles of any split are the same up to renaming the digits. The generator yields the test puzzles first,
    then validation, then training: changing the number of training puzzles leaves the others unchanged. An epoch has
    the steps needed to sample `num_train` puzzles.

    Args:
        size: Digits, and cells of a row: 4 (boxes 2 x 2), 6 (boxes 2 x 3) or 9 (boxes 3 x 3).
        givens: Minimum and maximum number of givens; None for 4 to 7, 12 to 15 or 24 to 32, by size.
        num_train: Training puzzles.
        num_val: Validation puzzles.
        num_test: Test puzzles.
        relabel: Whether to rename the digits of a training puzzle at random each time it is sampled.
        puzzle_seed: Seed of the puzzles; the run's seed only determines the sampling order.
        batch_size: Puzzles per training batch and process.
        eval_batch_size: Maximum puzzles per batch outside training; None for `batch_size`.
        num_workers: Worker processes that gather batches.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments = ("vocab_size", "seq_len")
    sample_name = "puzzles"

    def __init__(
        self,
        *,
        size: Literal[4, 6, 9] = 6,
        givens: tuple[int, int] | None = None,
        num_train: int = 3000,
        num_val: int = 500,
        num_test: int = 500,
        relabel: bool = True,
        puzzle_seed: int = 0,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, pin_memory=pin_memory
        )
        if size not in BOX_SHAPES:
            raise ValueError(f"data.size: {size} given, it must be one of {', '.join(map(str, BOX_SHAPES))}")
        for name, value in (("num_train", num_train), ("num_val", num_val), ("num_test", num_test)):
            if value < 1:
                raise ValueError(f"data.{name}: {value} given, at least 1 is needed")
        fewest, most = givens or _DEFAULT_GIVENS[size]
        if not FEWEST_GIVENS[size] <= fewest <= most < size**2:
            raise ValueError(
                f"data.givens: {[fewest, most]} given, two ascending numbers from {FEWEST_GIVENS[size]} to "
                f"{size**2 - 1} are needed for size {size}"
            )
        self.size = size
        self.givens = (fewest, most)
        self.num_puzzles = {"train": num_train, "val": num_val, "test": num_test}
        self.relabel = relabel
        self.puzzle_seed = puzzle_seed

    @property
    def vocab_size(self) -> int:
        """Tokens: the empty cell, and the digits."""
        return self.size + 1

    @property
    def seq_len(self) -> int:
        """Cells of a puzzle, L."""
        return self.size**2

    @cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        total = sum(self.num_puzzles.values())
        return generate_puzzles(size=self.size, count=total, givens=self.givens, seed=self.puzzle_seed)

    def setup(self, stage: str) -> None:  # noqa: ARG002  # the puzzles of every stage come from one generation
        """Generates the puzzles; the same on every process."""
        _ = self._tables

    def split(self, name: Literal["train", "val", "test"]) -> tuple[np.ndarray, np.ndarray]:
        """Puzzles and solutions of a split, int64 (N, L) each."""
        order: tuple[Literal["train", "val", "test"], ...] = ("test", "val", "train")
        first = sum(self.num_puzzles[other] for other in order[: order.index(name)])
        puzzles, solutions = self._tables
        rows = slice(first, first + self.num_puzzles[name])
        return puzzles[rows], solutions[rows]

    @override
    def dataset(self, split: Split) -> BatchedDataset:
        if split == "train":
            return SampledPuzzles(*self.split("train"), batch_size=self.batch_size, relabel=self.relabel)
        return Puzzles(*self.split("test" if split == "predict" else split))

    def fingerprint(self) -> dict[str, Any]:
        """Size, seed, counts and checksum of all puzzles and solutions."""
        digest = hashlib.sha256()
        for table in self._tables:
            digest.update(table.astype("<i8").tobytes())
        return {
            "source": "generated sudoku",
            "size": self.size,
            "givens": list(self.givens),
            "puzzle_seed": self.puzzle_seed,
            "puzzles": dict(self.num_puzzles),
            "sha256": digest.hexdigest(),
        }

    def protocol(self) -> dict[str, Any]:
        """Generation, split and scoring of the test."""
        counts = self.num_puzzles
        shown = (self.split("test")[0] > 0).sum(axis=1).mean()
        seen = {_renamed(solution) for solution in self.split("train")[1]}
        known = np.mean([_renamed(solution) in seen for solution in self.split("test")[1]])
        return {
            "data": f"generated sudoku {self.size} x {self.size}, one solution each, puzzle seed {self.puzzle_seed}",
            "split": f"{counts['train']:,} train, {counts['val']:,} validation, {counts['test']:,} test puzzles, "
            "no two the same up to a renaming of the digits; of the test puzzles' solutions "
            f"{known:.0%} are also the solution of a training puzzle",
            "givens": f"{self.givens[0]} to {self.givens[1]} of {self.seq_len}, {shown:.1f} on average in test",
            "augmentation": "digits of training puzzles renamed at random" if self.relabel else "none",
            "selection": "on the validation split only",
        }


def _renamed(solution: np.ndarray) -> bytes:
    """A solution with its digits renamed by first occurrence: equal for all renamings."""
    _, first, digits = np.unique(solution, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[digits].astype(np.int8).tobytes()


def _batch(puzzles: np.ndarray, solutions: np.ndarray) -> dict[str, Tensor]:
    return {"puzzle": torch.from_numpy(puzzles), "solution": torch.from_numpy(solutions)}
