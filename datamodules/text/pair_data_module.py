"""TextPairDataModule: pairs of related texts from the rows of a table, for contrastive training."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from typing_extensions import override

from datamodules.base import BaseDataModule, Split
from datamodules.tabular.row_files import RowFiles
from datamodules.tabular.row_source import RowSource
from datamodules.tabular.splits import TableRows, TableSplit
from datamodules.tabular.text_table import TextFormat, definitions_file
from datamodules.text.tokenizer import text_tokenizer
from features.definitions import Definitions, Text
from features.pipeline import AskedRows, FeaturePipeline
from features.pipeline.needed import request_columns
from features.sources import ROW, Notes
from features.text.token_rows import FastTokenizer, TokenRows, pad_rows

_PAIR = ("anchor", "positive")


@dataclass(frozen=True)
class TextPairs:
    """Dataset of some pairs.

    Attributes:
        tokens: Tokens of all pairs by role: `anchor`, `positive` and, where there is one, `negative`.
        texts: Numbers of the texts of anchor and positive, int64 (N, 2); equal texts have equal numbers.
        rows: Rows of the table that the pairs come from, int64 (N,).
        positions: The pairs, int64.
        pad_token_id: Id that fills shorter rows.
    """

    tokens: dict[str, list[np.ndarray]]
    texts: np.ndarray
    rows: np.ndarray
    positions: np.ndarray
    pad_token_id: int

    def __len__(self) -> int:
        return len(self.positions)

    def __getitems__(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Gathers the batch of an array of indices into `positions`."""
        pairs = self.positions[indices]
        batch = {"row": torch.from_numpy(self.rows[pairs]), "texts": torch.from_numpy(self.texts[pairs])}
        for role, tokens in self.tokens.items():
            rows = [tokens[pair] for pair in pairs]
            lengths = torch.tensor([len(row) for row in rows])
            token_ids = torch.from_numpy(pad_rows(rows, self.pad_token_id))
            batch[f"{role}_token_ids"] = token_ids
            batch[f"{role}_attention_mask"] = (torch.arange(token_ids.shape[1]) < lengths[:, None]).long()
        return batch


class TextPairDataModule(BaseDataModule):
    """Data for `TextEmbedder`: in each row of a table two texts that belong together, such as a title and its text.

    The texts are features of kind `text`. A batch has `token_ids` int64 (B, L) and `attention_mask` int64 (B, L) of
    each role, as `anchor_token_ids`, ..., and `texts` int64 (B, 2), the numbers of the texts of anchor and positive, by
    which pairs that share a text are told. Rows without one of the texts are left out and counted.

    Args:
        definitions: Features file, YAML or JSON, or the name of one that comes along, below `configs`.
        rows: CSV, TSV, JSON lines or parquet file, Delta table or snapshot with the rows; or `{train: FILE, val: FILE,
            test: FILE}`; without `val`, `split` cuts validation rows from the training file.
        pretrained: Where the tokenizer comes from, see `features.text.pretrained_folder`; the model's encoder too.
        anchor: Text feature of the anchors, by its full name.
        positive: Text feature of the texts that belong to them.
        negative: Text feature of texts that do not; None for none.
        split: The split protocol; None if `rows` names a file for each split.
        max_length: Most tokens of a text, special ones included.
        csv: How text files are written, as `csv` of a source; None for plain CSV files.
        batch_size: Pairs per training batch and process: one more than the negatives of an anchor.
        eval_batch_size: Maximum pairs per batch outside training; None for `batch_size`. Affects the loss of validation
            and test, which is that of in-batch negatives, but no metric.
        root: Folder of raw files; None for `$LIGHTNING_APP_DATA`, else `./data`.
        num_workers: Worker processes that gather batches.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments = ("pretrained",)
    sample_name = "pairs"

    def __init__(
        self,
        *,
        definitions: str | Path,
        rows: str | RowFiles | Path,  # a str first, see `FeatureTableDataModule`
        pretrained: str,
        anchor: str,
        positive: str,
        negative: str | None = None,
        split: TableSplit | None = None,
        max_length: int = 128,
        csv: TextFormat | None = None,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        root: str | Path | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, pin_memory=pin_memory
        )
        self.definitions_path = definitions_file(definitions, root=root)
        self.definitions = Definitions.load(self.definitions_path)
        self.roles = {
            role: full
            for role, full in (("anchor", anchor), ("positive", positive), ("negative", negative))
            if full is not None
        }
        for role, full in self.roles.items():
            (selected,) = self.definitions.select([full])
            if not isinstance(self.definitions.feature(selected), Text):
                raise ValueError(f"data.{role}: {full!r} is no text; a feature of `kind: text` is needed")
            self.roles[role] = selected
        self._source = RowSource(rows, split)
        self.rows_path = rows
        self.split = split
        self.asked = AskedRows(csv=None if csv is None else csv.definition())
        self.pretrained = pretrained
        self.max_length = max_length
        self.root = root
        self._notes = Notes()

    @cached_property
    def tokenizer(self) -> FastTokenizer:
        """The tokenizer."""
        return text_tokenizer(self.pretrained, max_length=self.max_length)

    @property
    def pad_token_id(self) -> int:
        """Id that fills shorter rows."""
        return self.tokenizer.pad_token_id

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return self.tokenizer.vocab_size

    @cached_property
    def _table(self) -> tuple[pl.DataFrame, dict[str, int]]:
        """The rows of all files, and how many each file of several has."""
        needed = request_columns(self.definitions, tuple(self.roles.values()))
        return self._source.read(csv=self.asked.csv_format(self.definitions), root=self.root, needed=needed)

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The rows that have all texts: their number in the table, their columns, and a column per role."""
        rows = self.asked.read(self.definitions, self._table[0], at=None, notes=Notes())
        texts = {role: self._texts_of(full, rows) for role, full in self.roles.items()}
        complete = np.ones(len(rows), dtype=bool)
        for role, column in texts.items():
            there = column.str.len_chars().to_numpy() > 0
            self._notes.add("rows", f"have no {role}: left out", int((~there & complete).sum()))
            complete &= there
        if not complete.any():
            raise ValueError(f"data.rows: no row has all texts: {', '.join(self.roles.values())}")
        frame = rows.select(pl.all().exclude(list(texts))).with_columns(**texts)
        return frame.filter(pl.Series(complete))

    def _texts_of(self, full: str, rows: pl.DataFrame) -> pl.Series:
        pipeline = FeaturePipeline(definitions=self.definitions, features=(full,), rows=self.asked)
        pipeline = pipeline.fit(rows, {}, train=np.arange(min(len(rows), 1)), notes=Notes())
        return pl.Series(pipeline.texts(pipeline.features_of(rows, {}, notes=Notes())), dtype=pl.String)

    @cached_property
    def split_rows(self) -> TableRows:
        """Positions in `rows` of the pairs of each split."""
        return self._source.split_rows(self.rows, self._table[1])

    @cached_property
    def texts(self) -> np.ndarray:
        """Numbers of the texts of anchor and positive, int64 (N, 2); equal texts have equal numbers."""
        both = pl.concat([self.rows[role].rename("text") for role in _PAIR])
        numbers = both.rank("dense").to_numpy().astype(np.int64) - 1
        texts = numbers.reshape(2, -1).T.copy()
        for place, role in enumerate(_PAIR):
            train = texts[self.split_rows.train, place]
            shared = len(train) - len(np.unique(train))
            self._notes.add("training pairs", f"repeat the {role} of another: no negatives of each other", shared)
        return texts

    @cached_property
    def tokens(self) -> dict[str, TokenRows]:
        """Tokens of all pairs by role."""
        tokens = {role: self.tokenizer.encode(self.rows[role].to_list()) for role in self.roles}
        for role, rows in tokens.items():
            self._notes.add(f"texts ({role})", f"cut to {self.max_length} tokens", int(rows.truncated.sum()))
        return tokens

    @cached_property
    def _token_lists(self) -> dict[str, list[np.ndarray]]:
        return {role: rows.rows() for role, rows in self.tokens.items()}

    @override
    def setup(self, stage: str) -> None:
        """Reads and tokenises the texts; checks that the splits of this stage have pairs."""
        for split in {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ()):
            if not len(self.dataset(split)):  # type: ignore[arg-type]
                raise ValueError(f"data.split: {self._source.describe_split()} leaves no pair for {split}")

    @override
    def dataset(self, split: Split) -> TextPairs:
        positions = np.arange(len(self.rows)) if split == "predict" else getattr(self.split_rows, split)
        return TextPairs(
            tokens=self._token_lists,
            texts=self.texts,
            rows=self.rows[ROW].to_numpy().astype(np.int64),
            positions=positions,
            pad_token_id=self.pad_token_id,
        )

    @override
    def notes(self) -> list[str]:
        return self._notes.lines()

    @override
    def fingerprint(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for role, rows in self.tokens.items():
            digest.update(role.encode())
            digest.update(rows.ids.tobytes())
            digest.update(rows.starts.tobytes())
        for part in (self.split_rows.train, self.split_rows.val, self.split_rows.test):
            digest.update(part.tobytes())
        return {
            "source": self._source.name,
            "definitions": self.definitions.digest,
            "rows": len(self.rows),
            "sha256": digest.hexdigest(),
        }

    @override
    def protocol(self) -> dict[str, Any]:
        parts = self.split_rows
        roles = ", ".join(f"{role} {full}" for role, full in self.roles.items())
        return {
            "data": f"{self._source.name}, {len(self.rows):,} pairs",
            "pairs": f"{roles}, of {self.definitions_path.name}; at most {self.max_length} tokens",
            "split": f"{self._source.describe_split()}; {len(parts.train):,} train, {len(parts.val):,} validation, "
            f"{len(parts.test):,} test",
            "ranking": "of each positive among the positives of all pairs of the split; pairs that share a text do not "
            "compete",
            "selection": "on the validation split only",
        }
