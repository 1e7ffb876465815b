"""Forecasting data: series from tables and published files, regularised and cut into windows."""

from datamodules.forecasting.data_module import ForecastingDataModule
from datamodules.forecasting.long_data_module import LongForecastingDataModule
from datamodules.forecasting.long_table import LongTableFile
from datamodules.forecasting.published import ETT, DailyMarket, ExchangeRate, WeeklyCO2
from datamodules.forecasting.series import Series, SeriesSource
from datamodules.forecasting.table_file import TableFile

__all__ = [
    "ETT",
    "DailyMarket",
    "ExchangeRate",
    "ForecastingDataModule",
    "LongForecastingDataModule",
    "LongTableFile",
    "Series",
    "SeriesSource",
    "TableFile",
    "WeeklyCO2",
]
