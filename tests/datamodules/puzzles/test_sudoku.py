"""Sudoku: unique solutions, splits without a common puzzle, batches that depend on the position alone."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import SudokuDataModule
from datamodules.puzzles.sudoku_generator import BOX_SHAPES, generate_puzzles


def units(size: int) -> list[list[int]]:
    height, width = BOX_SHAPES[size]
    cells = list(product(range(size), repeat=2))
    rows = [[row * size + column for column in range(size)] for row in range(size)]
    columns = [[row * size + column for row in range(size)] for column in range(size)]
    boxes: dict[tuple[int, int], list[int]] = {}
    for row, column in cells:
        boxes.setdefault((row // height, column // width), []).append(row * size + column)
    return rows + columns + list(boxes.values())


def solutions_of(puzzle: list[int], size: int) -> list[list[int]]:
    """All solutions, by trying every digit in the cell with the fewest left: independent of the generator."""
    peers = [{other for unit in units(size) if cell in unit for other in unit} for cell in range(size**2)]
    free = {
        cell: set(range(1, size + 1)) - {puzzle[other] for other in peers[cell]}
        for cell in range(size**2)
        if not puzzle[cell]
    }
    if not free:
        return [puzzle]
    cell = min(free, key=lambda empty: len(free[empty]))
    return [
        solution
        for digit in free[cell]
        for solution in solutions_of([*puzzle[:cell], digit, *puzzle[cell + 1 :]], size)
    ]


def obeys_the_rules(solution: np.ndarray, size: int) -> bool:
    return all(sorted(solution[unit]) == list(range(1, size + 1)) for unit in units(size))


def up_to_relabelling(puzzle: np.ndarray, solution: np.ndarray) -> tuple[int, ...]:
    """The puzzle with its digits numbered in the order in which the solution shows them."""
    order: dict[int, int] = {}
    for digit in solution.tolist():
        order.setdefault(digit, len(order) + 1)
    return tuple(order.get(digit, 0) for digit in puzzle.tolist())


def small(**options: Any) -> SudokuDataModule:
    return SudokuDataModule(**{"size": 4, "num_train": 40, "num_val": 10, "num_test": 10, "batch_size": 8} | options)


@pytest.mark.parametrize(("size", "givens", "count"), [(4, (4, 7), 40), (6, (10, 14), 30), (9, (28, 32), 2)])
def test_every_puzzle_has_exactly_one_solution(size: int, givens: tuple[int, int], count: int) -> None:
    puzzles, solutions = generate_puzzles(size=size, count=count, givens=givens, seed=1)
    for puzzle, solution in zip(puzzles, solutions, strict=True):
        assert givens[0] <= np.count_nonzero(puzzle) <= givens[1]
        assert obeys_the_rules(solution, size)
        assert solutions_of(puzzle.tolist(), size) == [solution.tolist()]


def test_the_seed_alone_determines_the_puzzles() -> None:
    ours, theirs, other = (generate_puzzles(size=6, count=20, givens=(12, 15), seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not np.array_equal(ours[0], other[0])
    fewer, _ = generate_puzzles(size=6, count=5, givens=(12, 15), seed=3)
    assert np.array_equal(fewer, ours[0][:5])


def test_no_puzzle_lies_in_two_splits_whatever_its_digits_are_called() -> None:
    data = small(num_train=1500, num_val=200, num_test=300)
    splits = [
        {up_to_relabelling(*pair) for pair in zip(*data.split(name), strict=True)} for name in ("train", "val", "test")
    ]
    assert [len(split) for split in splits] == [1500, 200, 300]
    assert len(set.union(*splits)) == 2000


def test_more_training_puzzles_leave_validation_and_test_as_they_are() -> None:
    few, many = small(), small(num_train=80)
    for name in ("val", "test"):
        assert np.array_equal(few.split(name)[0], many.split(name)[0])
    assert few.fingerprint()["sha256"] != many.fingerprint()["sha256"]
    assert few.fingerprint() == small().fingerprint()


@pytest.mark.parametrize("relabel", [True, False])
def test_drawn_puzzles_are_training_puzzles_with_renamed_digits(relabel: bool) -> None:
    data = small(size=6, batch_size=32, num_train=50, relabel=relabel)
    batch = next(iter(data.train_dataloader()))
    known = {up_to_relabelling(*pair) for pair in zip(*data.split("train"), strict=True)}
    as_they_are = {tuple(puzzle) for puzzle in data.split("train")[0].tolist()}
    puzzles, solutions = batch["puzzle"].numpy(), batch["solution"].numpy()
    assert puzzles.dtype == solutions.dtype == np.int64
    for puzzle, solution in zip(puzzles, solutions, strict=True):
        assert obeys_the_rules(solution, 6)
        assert np.array_equal(puzzle[puzzle > 0], solution[puzzle > 0])
        assert up_to_relabelling(puzzle, solution) in known
    assert {tuple(puzzle) for puzzle in puzzles.tolist()} <= as_they_are or relabel
    assert len({tuple(puzzle) for puzzle in puzzles.tolist()} - as_they_are) > 25 or not relabel


def test_a_batch_is_a_function_of_seed_epoch_step_and_rank() -> None:
    dataset = small().dataset("train")
    keys = [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    first, *others = [dataset.__getitems__(np.array(key))["puzzle"] for key in keys]
    assert torch.equal(first, dataset.__getitems__(np.array(keys[0]))["puzzle"])
    assert not any(torch.equal(first, other) for other in others)


def test_an_epoch_has_a_step_per_full_batch_and_evaluation_sees_every_puzzle_once() -> None:
    data = small(num_test=11, eval_batch_size=4)
    assert len(data.train_dataloader()) == 5
    seen = torch.cat([batch["puzzle"] for batch in data.test_dataloader()])
    assert np.array_equal(seen.numpy(), data.split("test")[0])
    assert torch.equal(seen, torch.cat([batch["puzzle"] for batch in data.predict_dataloader()]))
    with pytest.raises(ValueError, match="data.batch_size: 41 x 1 processes is more than the 40 training samples"):
        small(batch_size=41).train_dataloader()


def test_what_the_model_and_the_report_are_told() -> None:
    data = small(size=6)
    assert (data.vocab_size, data.seq_len) == (7, 36)
    assert data.protocol()["split"].startswith("40 train, 10 validation, 10 test puzzles")
    assert data.fingerprint()["givens"] == [12, 15]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 5}, "data.size: 5 given, it must be one of 4, 6, 9"),
        ({"num_train": 0}, "data.num_train: 0 given, at least 1"),
        ({"num_test": -1}, "data.num_test: -1 given, at least 1"),
        ({"batch_size": 0}, "data.batch_size: 0 given"),
        ({"givens": (3, 7)}, r"data.givens: \[3, 7\] given, two ascending numbers from 4 to 15"),
        ({"givens": (4, 16)}, r"data.givens: \[4, 16\] given"),
        ({"givens": (7, 5)}, r"data.givens: \[7, 5\] given"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_givens_that_leave_too_few_puzzles_are_refused() -> None:
    # 12 grids of 4 x 4 differ by more than their digits, and each has 16 cells to leave empty
    with pytest.raises(ValueError, match=r"data.givens: \[15, 15\] leaves too few puzzles of size 4: 192 of 200"):
        generate_puzzles(size=4, count=200, givens=(15, 15), seed=0)


def test_the_protocol_says_how_many_solutions_were_seen_in_training() -> None:
    small = SudokuDataModule(size=4, num_train=300, num_val=10, num_test=50).protocol()["split"]
    assert "100% are also the solution of a training puzzle" in small
    large = SudokuDataModule(size=6, num_train=300, num_val=10, num_test=50).protocol()["split"]
    assert int(large.split("solutions ")[1].split("%")[0]) < 10
