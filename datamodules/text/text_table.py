"""TextTableDataModule: labelled rows with a text, which is tokenised once, beside their other features."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import polars as pl
from typing_extensions import override

from datamodules.base import Split
from datamodules.tabular import FeatureTableDataModule, TableSplit
from datamodules.tabular.leaks import identities_of
from datamodules.tabular.row_files import RowFiles
from datamodules.tabular.text_table import TextFormat
from datamodules.text.length_batches import LengthBatches
from datamodules.text.text_rows import TextRows
from datamodules.text.token_cache import array_sha256, cached_tokens, texts_sha256
from datamodules.text.tokenizer import text_tokenizer
from features.definitions import Text
from features.sources import Notes
from features.text.pretrained import TOKENIZER, pretrained_folder
from features.text.token_rows import FastTokenizer, TokenRows


class TextTableDataModule(LengthBatches, FeatureTableDataModule):
    """Data for `TextClassifier` and fusion: rows of a table with a text, other features, and a label.

    Exactly one of the features is of kind `text`; there may be no others. A batch has those of `FeatureTableDataModule`
    and `token_ids` int64 (B, L), padded to its longest text, and `attention_mask` int64 (B, L), 1 for a token and 0 for
    padding. A row without a text is kept, as an empty one: its special tokens alone. Of longer texts the first
    `max_length` tokens are kept. Both are counted. Tokens are kept in memory-mapped files, see
    `datamodules.text.token_cache`.

    Batches outside training hold texts of similar length; answers and tables are in the order of the rows.

    Args:
        definitions: Features file, YAML or JSON, or the name of one that comes along, below `configs`.
        label: Name of a label in it, or of several, see `FeatureTableDataModule`.
        pretrained: Where the tokenizer comes from: a folder, `package:NAME` or `org/name` of the hub, see
            `features.text.pretrained_folder`; also the encoder of the model, unless that names another one.
        split: The split protocol; None if `rows` names a file for each split.
        rows: As of `FeatureTableDataModule`.
        max_length: Most tokens of a text, special tokens included.
        max_tokens: Token budget: most tokens of a training batch and process, padding included. Batches then hold texts
            of similar length and as many as fit, at most `batch_size`. None for batches of `batch_size` random rows.
        cache: Folder of tokens; None for the user's cache folder, which small tables do not go to.
        history: As of `FeatureTableDataModule`.
        entities: As of `FeatureTableDataModule`.
        at: As of `FeatureTableDataModule`.
        features: Full names of features, or names of views; None for all.
        classes: Classes of the label, in this order; None for the values of a label of text or truth values, while a
            label of numbers is predicted as a number. Of several labels, `{LABEL: [...]}`; of lists, the labels.
        label_suffix: Removed from labels that end with it.
        label_separator: Separator of several labels in the cells of one column; a column of lists needs none.
        csv: How text files of rows are written; None for plain files, see `rows`.
        contract: Data contract that the table `rows` has to keep, see `features.contracts`; None for none.
        quarantine: Parquet file of the rows that the contract moves aside.
        batch_size: Rows per training batch and process; with `max_tokens`, most of them.
        eval_batch_size: Maximum rows per batch outside training; None for `batch_size`. Does not affect metrics.
        root: Folder of raw files; None for `$LIGHTNING_APP_DATA`, else `./data`.
        num_workers: Worker processes that gather batches.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments: ClassVar[tuple[str, ...]] = (*FeatureTableDataModule.model_arguments, "pretrained", "vocab_size")
    takes_texts = True
    prediction_order = "row"

    def __init__(
        self,
        *,
        definitions: str | Path,
        label: str | Sequence[str],
        pretrained: str | Path,
        split: TableSplit | None = None,
        rows: str | RowFiles | Path | None = None,
        max_length: int = 128,
        max_tokens: int | None = None,
        cache: Path | None = None,
        history: str | None = None,
        entities: str | None = None,
        at: str | Sequence[str] | None = None,
        features: Sequence[str] | None = None,
        classes: Sequence[str | int | bool] | Mapping[str, Sequence[str | int | bool]] | None = None,
        label_suffix: str = "",
        label_separator: str | None = None,
        csv: TextFormat | None = None,
        contract: str | Path | None = None,
        quarantine: str | Path | None = None,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        root: str | Path | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            definitions=definitions,
            label=label,
            split=split,
            rows=rows,
            history=history,
            entities=entities,
            at=at,
            features=features,
            classes=classes,
            label_suffix=label_suffix,
            label_separator=label_separator,
            csv=csv,
            contract=contract,
            quarantine=quarantine,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            root=root,
            num_workers=num_workers,
            pin_memory=pin_memory,
        )
        self.set_budget(max_tokens, max_length=max_length)
        self.pretrained = str(pretrained)
        self.cache = None if cache is None else Path(cache)

    @override
    def _check_texts(self) -> None:
        texts = [full for full in self.features if isinstance(self.definitions.feature(full), Text)]
        if not texts:
            raise ValueError(
                f"data.features: none of {', '.join(map(repr, self.features[:10]))} is a text; define one, e.g. "
                "`{kind: text, column: ...}`, or take datamodules.tabular.FeatureTableDataModule"
            )

    @cached_property
    def tokenizer(self) -> FastTokenizer:
        """The tokenizer, which cuts texts to `max_length`."""
        return text_tokenizer(self.pretrained, max_length=self.max_length)

    @property
    def pad_token_id(self) -> int:
        """Id that fills shorter texts of a batch."""
        return self.tokenizer.pad_token_id

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return self.tokenizer.vocab_size

    @cached_property
    def text_name(self) -> str:
        """Column of the text in a feature table."""
        return self._layout.texts[0]

    @cached_property
    def texts(self) -> list[str]:
        """Texts of all rows; empty where a row has none."""
        (full,) = (full for full, name in self.pipeline.columns.items() if name == self.text_name)
        pipeline = msgspec.structs.replace(self.pipeline, features=(full,))
        table = pipeline.features_of(self.rows, self.tables, notes=Notes())
        return table[pipeline.columns[full]].fill_null("").to_list()

    @cached_property
    def tokens(self) -> TokenRows:
        """Tokens of the texts of all rows."""
        file = pretrained_folder(self.pretrained, key="data.pretrained") / TOKENIZER
        tokens, remarks = cached_tokens(self.texts, self.tokenizer, tokenizer_file=file, cache=self.cache)
        if self._rank_and_world_size()[0] == 0:
            for remark in remarks:
                print(f"tokens: {remark}", flush=True)  # noqa: T201
        return tokens

    @override
    def dataset(self, split: Split) -> TextRows:  # type: ignore[override]
        return TextRows(super().dataset(split), self.tokens, self.pad_token_id)

    @override
    def notes(self) -> list[str]:
        notes, name = Notes(), self.text_name
        most = f"{self.max_length:,}"
        notes.add(name, f"have more than {most} tokens: cut to the first {most}", int(self.tokens.truncated.sum()))
        notes.add(name, "have no text: read as an empty one", sum(not text for text in self.texts))
        train = self.split_rows.train
        lines = [*super().notes(), *notes.lines()]
        if len({self.texts[row] for row in train}) == 1:
            lines.append(f"{name}: all training rows have the same text, which tells the model nothing")
        return lines

    @override
    def _identities(self) -> np.ndarray:
        texts = pl.Series(self.texts).hash(seed=0)
        inputs = self._inputs
        return texts.to_numpy() ^ identities_of(inputs) if inputs else texts.to_numpy()

    @override
    def fingerprint(self) -> dict[str, Any]:
        base = super().fingerprint()
        ids = self.tokens.ids.astype(np.int32)  # the cache may hold a narrower type
        parts = (base["sha256"], texts_sha256(self.texts), str(self.max_length), array_sha256(ids))
        return {**base, "sha256": hashlib.sha256(" ".join(parts).encode()).hexdigest()}

    @override
    def protocol(self) -> dict[str, Any]:
        protocol = super().protocol()
        cut = int(self.tokens.truncated.sum())
        return {**protocol, "text": f"{self.text_name}, at most {self.max_length:,} tokens ({cut:,} texts cut)"}
