"""Sources to batches: each data module pairs with one or more LightningModules."""

from datamodules.base import BaseDataModule
from datamodules.forecasting import ForecastingDataModule
from datamodules.panel import PanelDataModule
from datamodules.panel_source import MarketPanel, PanelFile, PanelSource
from datamodules.published import ETT, DailyMarket, ExchangeRate, WeeklyCO2
from datamodules.recall import RecallDataModule
from datamodules.series import Series, SeriesSource
from datamodules.streams import StreamDataModule
from datamodules.sudoku import SudokuDataModule
from datamodules.table_file import TableFile
from datamodules.text_source import EnglishTopics, TextFiles, TextSource, TinyShakespeare
from datamodules.text_stream import TextStreamDataModule

__all__ = [
    "ETT",
    "BaseDataModule",
    "DailyMarket",
    "EnglishTopics",
    "ExchangeRate",
    "ForecastingDataModule",
    "MarketPanel",
    "PanelDataModule",
    "PanelFile",
    "PanelSource",
    "RecallDataModule",
    "Series",
    "SeriesSource",
    "StreamDataModule",
    "SudokuDataModule",
    "TableFile",
    "TextFiles",
    "TextSource",
    "TextStreamDataModule",
    "TinyShakespeare",
    "WeeklyCO2",
]
