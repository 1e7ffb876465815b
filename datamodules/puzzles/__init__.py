"""Puzzles: tasks whose samples are generated, and whose answers are known exactly."""

from datamodules.puzzles.recall import RecallDataModule
from datamodules.puzzles.sudoku import SudokuDataModule

__all__ = ["RecallDataModule", "SudokuDataModule"]
