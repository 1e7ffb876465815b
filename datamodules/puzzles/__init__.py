"""Puzzles: tasks with generated samples and exactly known answers."""

from datamodules.puzzles.recall import RecallDataModule
from datamodules.puzzles.sudoku import SudokuDataModule

__all__ = ["RecallDataModule", "SudokuDataModule"]
