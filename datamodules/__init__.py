"""Data modules: read sources and make batches; each pairs with one or more LightningModules."""

from datamodules.base import BaseDataModule
from datamodules.forecasting import ForecastingDataModule
from datamodules.forecasting.long_data_module import LongForecastingDataModule
from datamodules.forecasting.long_table import LongTableFile
from datamodules.forecasting.published import ETT, DailyMarket, ExchangeRate, WeeklyCO2
from datamodules.forecasting.series import Series, SeriesSource
from datamodules.forecasting.table_file import TableFile
from datamodules.puzzles.recall import RecallDataModule
from datamodules.puzzles.sudoku import SudokuDataModule
from datamodules.streams import StreamDataModule
from datamodules.streams.panel import PanelDataModule
from datamodules.streams.panel_source import MarketPanel, PanelFile, PanelSource
from datamodules.streams.text_source import EnglishTopics, TextFiles, TextSource, TinyShakespeare
from datamodules.streams.text_stream import TextStreamDataModule

__all__ = [
    "ETT",
    "BaseDataModule",
    "DailyMarket",
    "EnglishTopics",
    "ExchangeRate",
    "ForecastingDataModule",
    "LongForecastingDataModule",
    "LongTableFile",
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
