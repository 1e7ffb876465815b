"""Sources to batches: each data module pairs with one or more LightningModules."""

from datamodules.base import BaseDataModule
from datamodules.forecasting import ForecastingDataModule
from datamodules.series import ETT, DailyMarket, ExchangeRate, Series, SeriesSource, TableFile, WeeklyCO2

__all__ = [
    "ETT",
    "BaseDataModule",
    "DailyMarket",
    "ExchangeRate",
    "ForecastingDataModule",
    "Series",
    "SeriesSource",
    "TableFile",
    "WeeklyCO2",
]
