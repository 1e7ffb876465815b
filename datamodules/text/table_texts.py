"""TableTexts: documents in a column of tables, for language models; with prompts, if only what follows them counts."""

from functools import cached_property
from pathlib import Path

import polars as pl
from typing_extensions import override

from datamodules.streams.text_source import TextSource
from datamodules.tabular.text_table import read_text_table
from features.definitions.messages import nearest


class TableTexts(TextSource):
    """A document per row of a table, a file per split; rows without a text are left out and counted.

    Args:
        train: CSV, TSV, JSON lines or parquet file of the training documents.
        val: That of the validation documents.
        test: That of the test documents; None tests on the validation documents.
        column: Column of the texts.
        prompt: Column of the prompts, which stand before the texts and are not learned; None for none.
        separator: Stands between prompt and text.
    """

    def __init__(
        self,
        *,
        train: str | Path,
        val: str | Path,
        test: str | Path | None = None,
        column: str = "text",
        prompt: str | None = None,
        separator: str = "\n",
    ) -> None:
        self.paths = {"train": train, "val": val, "test": test or val}
        self.column = column
        self.prompt = prompt
        self.separator = separator
        self._left_out = 0
        self._root: str | Path | None = None

    @cached_property
    def _rows(self) -> dict[str, pl.DataFrame]:
        """Columns `prompt` and `text` of each split."""
        return {split: self._read(split, path) for split, path in self.paths.items()}

    def _read(self, split: str, path: str | Path) -> pl.DataFrame:
        key = f"data.text.{split}"
        table = read_text_table(path, csv=None, root=self._root, key=key)
        for name in filter(None, (self.column, self.prompt)):
            if name not in table.columns:
                raise ValueError(f"{key}: {path} has no column {name!r}{nearest(name, table.columns)}")
        prompt = pl.lit("") if self.prompt is None else pl.col(self.prompt).cast(pl.String).fill_null("")
        rows = table.select(prompt=prompt, text=pl.col(self.column).cast(pl.String))
        kept = rows.filter(pl.col("text").str.strip_chars().str.len_chars() > 0)
        if kept.is_empty():
            raise ValueError(f"{key}: no row of {path} has a text in {self.column!r}")
        if split != "test" or self.paths["test"] != self.paths["val"]:
            self._left_out += len(rows) - len(kept)
        return kept

    @override
    def read(self, *, root: str | Path | None) -> dict[str, list[str]]:
        self._root = root
        prompts = self.prompts(root=root)
        return {
            split: [
                prompt + text for prompt, text in zip(prompts.get(split) or [""] * len(rows), rows["text"], strict=True)
            ]
            for split, rows in self._rows.items()
        }

    def prompts(self, *, root: str | Path | None) -> dict[str, list[str]]:
        """What stands before the text of each document, with the separator; empty without prompts."""
        self._root = root
        if self.prompt is None:
            return {}
        return {split: [prompt + self.separator for prompt in rows["prompt"]] for split, rows in self._rows.items()}

    @override
    def protocol(self) -> str:
        same = self.paths["test"] == self.paths["val"]
        learned = "" if self.prompt is None else "; of each document what follows the prompt counts"
        return f"a file per split{'; test is the validation file again' if same else ''}{learned}"

    @override
    def notes(self) -> list[str]:
        return [f"{self._left_out:,} rows without a text left out"] if self._left_out else []
