"""Sudoku generator: puzzles with exactly one solution, made by removing clues from random grids.

A set of digits is an integer whose bit d - 1 represents digit d.
"""

import random
from itertools import product

import numpy as np

BOX_SHAPES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}
"""Rows and columns of a box, by grid size."""

FEWEST_GIVENS = {4: 4, 6: 8, 9: 17}
"""Minimum number of givens for which a puzzle can have a unique solution."""

_MOST_FAILURES = 1000


class Board:
    """A partly filled grid, with the digits used in each row, column and box.

    Args:
        size: Digits, and cells of a row: 4, 6 or 9.
    """

    def __init__(self, *, size: int) -> None:
        self.size = size
        self.all_digits = (1 << size) - 1
        self.cells = [0] * size**2
        self.used = [0] * (3 * size)
        height, width = BOX_SHAPES[size]
        # Units 0 to size - 1 are the rows, then columns, then boxes.
        self.units = [
            (row, size + column, 2 * size + row // height * height + column // width)
            for row, column in product(range(size), repeat=2)
        ]
        members: list[list[int]] = [[] for _ in self.used]
        for cell, units in enumerate(self.units):
            for unit in units:
                members[unit].append(cell)
        self.members = members

    def put(self, cell: int, digit: int) -> None:
        """Writes a digit into an empty cell."""
        self.cells[cell] = digit
        for unit in self.units[cell]:
            self.used[unit] |= digit

    def clear(self, cell: int) -> int:
        """Empties a cell.

        Returns:
            The digit removed.
        """
        digit = self.cells[cell]
        self.cells[cell] = 0
        for unit in self.units[cell]:
            self.used[unit] ^= digit
        return digit

    def candidates(self, cell: int) -> int:
        """Digits that are not used in an empty cell's row, column and box."""
        row, column, box = self.units[cell]
        used = self.used
        return self.all_digits & ~(used[row] | used[column] | used[box])

    def fill(self, empty: list[int], order: random.Random | None = None) -> bool:
        """Fills the empty cells by depth-first search, the cell with the fewest candidates first.

        Args:
            empty: The empty cells.
            order: Shuffles the candidates of a cell.

        Returns:
            Whether a solution exists; if not, the cells are empty again.
        """
        if not empty:
            return True
        used, units, all_digits = self.used, self.units, self.all_digits
        fewest, chosen, free = self.size + 1, 0, 0
        for cell in empty:
            row, column, box = units[cell]
            left = all_digits & ~(used[row] | used[column] | used[box])
            count = left.bit_count()
            if count < fewest:
                fewest, chosen, free = count, cell, left
                if count <= 1:
                    break
        digits = _digits(free)
        if order is not None:
            order.shuffle(digits)
        rest = [cell for cell in empty if cell != chosen]
        for digit in digits:
            self.put(chosen, digit)
            if self.fill(rest, order):
                return True
            self.clear(chosen)
        return False

    def remove_clue(self, cell: int) -> bool:
        """Empties a cell of a puzzle with a unique solution, if the solution stays unique."""
        digit = self.clear(cell)
        others = self.candidates(cell) & ~digit
        if others and not self._only_place(cell, digit):
            empty = [other for other, content in enumerate(self.cells) if not content and other != cell]
            for other in _digits(others):
                self.put(cell, other)
                before = self.cells.copy(), self.used.copy()
                solvable = self.fill(empty)
                self.cells, self.used = before
                self.clear(cell)
                if solvable:
                    self.put(cell, digit)
                    return False
        return True

    def _only_place(self, cell: int, digit: int) -> bool:
        """Whether the cell is the only candidate for the digit in its row, column or box; no search is needed then."""
        return any(
            not any(
                self.cells[other] == 0 and other != cell and self.candidates(other) & digit
                for other in self.members[unit]
            )
            for unit in self.units[cell]
        )


def generate_puzzles(*, size: int, count: int, givens: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Generates puzzles that are pairwise different up to renaming the digits.

    Clues are removed in random order while the solution stays unique, down to a number of givens sampled for each
    puzzle. A puzzle that cannot lose another clue before is kept if it has at most the maximum number of givens.

    Args:
        size: 4, 6 or 9.
        count: Number of puzzles N.
        givens: Minimum and maximum number of givens.
        seed: Random seed; a larger count appends puzzles to the same first ones.

    Returns:
        puzzles: int64 (N, size ** 2), 0 for an empty cell.
        solutions: int64 (N, size ** 2).

    Raises:
        ValueError: Too few puzzles have so few givens, or there are no N different ones.
    """
    order = random.Random(seed)
    seen: set[bytes] = set()
    puzzles: list[np.ndarray] = []
    solutions: list[np.ndarray] = []
    failures = 0
    while len(puzzles) < count:
        puzzle, solution = _puzzle(size, order, order.randint(*givens))
        name = _canonical(puzzle, solution)
        if np.count_nonzero(puzzle) > givens[1] or name in seen:
            failures += 1
            if failures == _MOST_FAILURES:
                raise ValueError(
                    f"data.givens: {list(givens)} leaves too few puzzles of size {size}: {len(puzzles):,} of {count:,} "
                    f"were found, then {_MOST_FAILURES:,} in a row had more givens or were found before"
                )
            continue
        failures = 0
        seen.add(name)
        puzzles.append(puzzle)
        solutions.append(solution)
    return np.stack(puzzles), np.stack(solutions)


def _puzzle(size: int, order: random.Random, target: int) -> tuple[np.ndarray, np.ndarray]:
    board = Board(size=size)
    cells = list(range(size**2))
    board.fill(cells, order)
    solution = _numbers(board)
    order.shuffle(cells)
    left = len(cells)
    for cell in cells:
        if left == target:
            break
        left -= board.remove_clue(cell)
    return _numbers(board), solution


def _canonical(puzzle: np.ndarray, solution: np.ndarray) -> bytes:
    """The puzzle with its digits renamed so that the first row of its solution is 1, 2, 3 ..."""
    size = round(len(solution) ** 0.5)
    renamed = np.zeros(size + 1, dtype=np.uint8)
    renamed[solution[:size]] = np.arange(1, size + 1)
    # The puzzle determines its solution, which therefore is not part of the key.
    return renamed[puzzle].tobytes()


def _numbers(board: Board) -> np.ndarray:
    return np.array([digit.bit_length() for digit in board.cells])


def _digits(candidates: int) -> list[int]:
    listed = []
    while candidates:
        lowest = candidates & -candidates
        listed.append(lowest)
        candidates ^= lowest
    return listed
