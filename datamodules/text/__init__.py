"""Data modules of texts."""

from datamodules.text.entity_data_module import EntityDataModule
from datamodules.text.pair_data_module import TextPairDataModule
from datamodules.text.table_texts import TableTexts
from datamodules.text.text_block_data_module import TextBlockDataModule
from datamodules.text.text_table import TextTableDataModule

__all__ = ["EntityDataModule", "TableTexts", "TextBlockDataModule", "TextPairDataModule", "TextTableDataModule"]
