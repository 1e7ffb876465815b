"""FeaturePipeline: definitions with their fitted state, from raw tables to arrays; JSON in packages."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import polars as pl

from features.batch import fit, training_table
from features.batch.training_table import public_names
from features.definitions import Bucket, Definitions, Hash, LabelColumn, Text
from features.definitions.columns_read import TIME
from features.fitted import Fitted
from features.fitted.states import BinsState, VocabularyState
from features.pipeline.asked_rows import AskedRows
from features.pipeline.layout import Layout
from features.pipeline.needed import key_types, request_columns
from features.rows import input_columns, required_features
from features.sources import Notes

FORMAT = 1


class FeaturePipeline(msgspec.Struct, frozen=True, kw_only=True):
    """Features of rows, as a network takes them.

    Attributes:
        definitions: The definitions.
        features: Full names of the features that the network takes, in their order.
        rows: Which rows are asked about.
        fitted: State of fitted features; None before `fit`.
        layout: Which features are numbers, categories, vectors and texts; None before `fit`.
    """

    definitions: Definitions
    features: tuple[str, ...]
    rows: AskedRows
    fitted: Fitted | None = None
    layout: Layout | None = None

    @property
    def columns(self) -> dict[str, str]:
        """Full name of each feature to its column in a feature table."""
        return public_names(self.features)

    def ask(self, table: pl.DataFrame, *, at: Any = None, notes: Notes) -> pl.DataFrame:
        """The rows that are asked about, see `AskedRows.read`.

        Args:
            table: The table that a user gives.
            at: Time that is asked about; None for that of each row.
            notes: Takes counts of rows that are left out.
        """
        return self.rows.read(self.definitions, table, at=at, notes=notes)

    def labels(self, rows: pl.DataFrame, tables: Mapping[str, pl.DataFrame], label: str, *, notes: Notes) -> pl.Series:
        """Labels of rows.

        Args:
            rows: As `ask` gives them.
            tables: Tables of sources by name.
            label: Name of the label.
            notes: Takes counts of what was left out.
        """
        table = training_table(self.definitions, rows, at=TIME, features=[], labels=[label], tables=tables, notes=notes)
        return table[label]

    def fit(
        self, rows: pl.DataFrame, tables: Mapping[str, pl.DataFrame], *, train: np.ndarray, notes: Notes
    ) -> "FeaturePipeline":
        """The pipeline with state fitted on training rows.

        Args:
            rows: As `ask` gives them.
            tables: Tables of sources by name.
            train: Positions of the training rows.
            notes: Takes counts of what was left out.
        """
        mask = np.zeros(len(rows), dtype=bool)
        mask[train] = True
        read = self.needed_of(rows)
        needed = required_features(self.definitions, self.features)  # of all rows, so that messages count as the table
        input_columns(self.definitions, needed, read, times=read[TIME], notes=Notes())
        fitted = fit(
            self.definitions, read, at=TIME, features=self.features, tables=tables, train=pl.Series(mask), notes=notes
        )
        pipeline = msgspec.structs.replace(self, fitted=fitted)
        table = pipeline.features_of(rows[train[:1]], tables, notes=Notes())
        return msgspec.structs.replace(pipeline, layout=pipeline._layout_of(table))

    def features_of(
        self, rows: pl.DataFrame, tables: Mapping[str, pl.DataFrame], *, notes: Notes, train: np.ndarray | None = None
    ) -> pl.DataFrame:
        """Features of rows, a column each, see `columns`.

        Args:
            rows: As `ask` gives them.
            tables: Tables of sources by name.
            notes: Takes counts of what was left out.
            train: Positions of training rows, which must not see their own labels; None for other rows.
        """
        mask = None
        if train is not None:
            mask = np.zeros(len(rows), dtype=bool)
            mask[train] = True
        table = training_table(
            self.definitions,
            self.needed_of(rows),
            at=TIME,
            features=self.features,
            tables=tables,
            fitted=self.fitted,
            train=None if mask is None else pl.Series(mask),
            notes=notes,
        )
        return table.select(self.columns.values())

    def needed_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The columns of rows that features read; others may have the names of features."""
        labels = [label.column for label in self.definitions.labels.values() if isinstance(label, LabelColumn)]
        keys, request = key_types(self.definitions, self.features), request_columns(self.definitions, self.features)
        if any(name not in rows.columns for name in request):
            return rows  # refused later, by a message that knows all columns
        return rows.select(name for name in dict.fromkeys([TIME, *keys, *request, *labels]) if name in rows.columns)

    def arrays(self, table: pl.DataFrame) -> dict[str, np.ndarray]:
        """Features as arrays, see `Layout.arrays`.

        Args:
            table: Features of rows.
        """
        assert self.layout is not None
        return self.layout.arrays(table)

    def texts(self, table: pl.DataFrame) -> list[str]:
        """Texts of rows, for a tokenizer; empty where a row has none.

        Args:
            table: Features of rows.

        Raises:
            ValueError: No feature is a text.
        """
        assert self.layout is not None
        if not self.layout.texts:
            raise ValueError("data.features: none of them is a text (kind: text)")
        return table[self.layout.texts[0]].fill_null("").to_list()

    @property
    def digest(self) -> str:
        """sha256 of definitions, selection and fitted state."""
        return hashlib.sha256(msgspec.json.encode(self._content(), order="sorted")).hexdigest()

    def to_json(self) -> bytes:
        """The pipeline as a file of a package; equal pipelines give equal bytes."""
        content = {"format": FORMAT, "digest": self.digest, **self._content()}
        # Not sorted: rows of online stores have the values of a view in the order of its features.
        return msgspec.json.format(msgspec.json.encode(content), indent=1)

    @classmethod
    def from_json(cls, content: bytes) -> "FeaturePipeline":
        """Reads what `to_json` writes.

        Args:
            content: UTF-8 JSON.

        Raises:
            ValueError: The file is damaged, was written by a newer version, or its fitted state belongs to other
                definitions.
        """
        try:
            parsed = msgspec.json.decode(content)
            if not isinstance(parsed, dict) or parsed.get("format") != FORMAT:
                given = parsed.get("format") if isinstance(parsed, dict) else type(parsed).__name__
                raise ValueError(
                    f"format {given!r}, this version of lightning-app reads {FORMAT}; upgrade lightning-r2p"
                )
            pipeline = cls(
                definitions=Definitions.from_data(parsed["definitions"]),
                features=msgspec.convert(parsed["features"], tuple[str, ...]),
                rows=msgspec.convert(parsed["rows"], AskedRows),
                fitted=msgspec.convert(parsed["fitted"], Fitted),
                layout=msgspec.convert(parsed["layout"], Layout),
            )
            digest = parsed["digest"]
        except (msgspec.MsgspecError, KeyError) as error:
            raise ValueError(f"damaged: {error}") from error
        if pipeline.digest != digest:
            raise ValueError(
                f"digest {pipeline.digest[:12]}, the file says {str(digest)[:12]}: it was edited, or damaged"
            )
        return pipeline

    def _content(self) -> dict[str, Any]:
        return {
            "definitions": self.definitions.to_data(),
            "features": list(self.features),
            "rows": msgspec.to_builtins(self.rows),
            "fitted": msgspec.to_builtins(self.fitted),
            "layout": _layout_content(self.layout),
        }

    def _layout_of(self, table: pl.DataFrame) -> Layout:
        sizes: dict[str, int] = {}
        reserved: list[str] = []
        for full in self.features:
            feature = self.definitions.feature(full)
            state = self.fitted.states.get(full) if self.fitted is not None else None
            if isinstance(state, VocabularyState):
                sizes[full] = len(state.categories) + 2
                reserved.append(full)
            elif isinstance(state, BinsState):
                sizes[full] = len(state.edges) + 1
            elif isinstance(feature, Hash):
                sizes[full] = feature.buckets
            elif isinstance(feature, Bucket):
                sizes[full] = len(feature.edges) + 1
        texts = [full for full in self.features if isinstance(self.definitions.feature(full), Text)]
        return Layout.of(table, self.columns, sizes=sizes, reserved=reserved, texts=texts)


def _layout_content(layout: Layout | None) -> Any:
    """The layout as plain data; without `texts` where there are none, as before they existed: digests stay the same."""
    content = msgspec.to_builtins(layout)
    if layout is not None and not layout.texts:
        del content["texts"]
    return content
