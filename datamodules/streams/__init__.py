"""Streams: text and panels as chunks on lanes, for models with a carried state."""

from datamodules.streams.data_module import StreamDataModule
from datamodules.streams.panel import PanelDataModule
from datamodules.streams.panel_source import MarketPanel, PanelFile, PanelSource
from datamodules.streams.text_source import EnglishTopics, TextFiles, TextSource, TinyShakespeare
from datamodules.streams.text_stream import TextStreamDataModule

__all__ = [
    "EnglishTopics",
    "MarketPanel",
    "PanelDataModule",
    "PanelFile",
    "PanelSource",
    "StreamDataModule",
    "TextFiles",
    "TextSource",
    "TextStreamDataModule",
    "TinyShakespeare",
]
