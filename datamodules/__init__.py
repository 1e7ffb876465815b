"""Sources to batches: each data module pairs with one or more LightningModules."""

from datamodules.base import BaseDataModule
from datamodules.forecasting import ForecastingDataModule
from datamodules.published import ETT, DailyMarket, ExchangeRate, WeeklyCO2
from datamodules.series import Series, SeriesSource
from datamodules.sudoku import SudokuDataModule
from datamodules.table_file import TableFile

__all__ = [
    "ETT",
    "BaseDataModule",
    "DailyMarket",
    "ExchangeRate",
    "ForecastingDataModule",
    "Series",
    "SeriesSource",
    "SudokuDataModule",
    "TableFile",
    "WeeklyCO2",
]
