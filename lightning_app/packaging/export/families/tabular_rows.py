"""Monitored rows of tabular models: rows of the raw table as requests hold them, without history and label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from datamodules.tabular import FeatureTableDataModule
from datamodules.text import TextTableDataModule
from features.definitions.columns_read import TIME
from features.sources import Notes
from lightning_app.packaging.export.batches import Arrays, as_arrays
from lightning_app.packaging.export.held_out import HeldOutRows
from lightning_app.packaging.export.input_rows import named_answers, outcome_of
from lightning_app.packaging.format.raw_input import RawColumn
from lightning_app.packaging.monitored.plain_types import as_journalled
from lightning_app.packaging.monitored.rows import HISTORY, MOST_ASKED, ROW_NUMBER, MonitoredRows
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.raw_kinds.text_tokens import token_inputs
from models.tabular.tabular_module import tensor_inputs

_MOST_TEXTS = 4_000
_MOST_TOKENS = 100_000
"""Tokens that are read for the importance of all columns: about as many seconds as 1,500 long texts take."""


def tabular_rows(
    predictor: Predictor, held_out: HeldOutRows, *, data: FeatureTableDataModule, columns: Sequence[RawColumn]
) -> MonitoredRows:
    """A row per row that is asked about: the columns that a client sends with it.

    Args:
        predictor: Of the package.
        held_out: Rows by their position among `data.rows`.
        data: Where the rows come from.
        columns: Raw columns of the package.
    """
    asked = data.rows[held_out.rows]
    source = data.asked.source(data.definitions)
    keys = {} if source is None else {raw: key for key, raw in source.keys.items()}
    sources = {column.name: _column_of(column, keys, asked) for column in columns if column.role != "history"}
    names = {name: own for name, own in sources.items() if own is not None}
    answers = named_answers(predictor, held_out.answer)
    types = {column.name: column.type for column in columns}
    raw_input = predictor.raw_input
    key_names = [] if raw_input is None or raw_input.by_row else data.key_names
    return MonitoredRows(
        requests=as_journalled(pl.DataFrame([_read(asked[own], name, types) for name, own in names.items()])),
        answers=pl.DataFrame([*as_journalled(asked.select(key_names)).get_columns(), *answers.get_columns()]),
        outcome=outcome_of(held_out.targets),
        times=asked[TIME].to_numpy().astype("datetime64[us]") if data.has_time else None,
        most_asked=_most_asked(data),
        shuffled=[column.name for column in columns if column.name in names and column.role != "time"],
        ask_changed=_AskShuffled(predictor, held_out.rows, data, names, keys),
        left_out={
            **{column.name: HISTORY for column in columns if column.role == "history"},
            **({} if raw_input is None or raw_input.by_row else {ROW_NUMBER: "the number of a row in its request"}),
        },
    )


@dataclass(frozen=True)
class _AskShuffled:
    """Asks rows again with one column of their requests shuffled; their history stays.

    Attributes:
        predictor: Of the package.
        rows: Positions of the held-out rows among `data.rows`.
        data: Where the rows come from.
        names: Column of a request to that of `data.rows`.
        keys: Column of a request to the key of entities that it is.
    """

    predictor: Predictor
    rows: np.ndarray
    data: FeatureTableDataModule
    names: Mapping[str, str]
    keys: Mapping[str, str]

    def __call__(self, rows: np.ndarray, column: str, rng: np.random.Generator) -> pl.DataFrame:
        data, asked = self.data, self.data.rows[self.rows[rows]]
        mixed = asked[self.names[column]][rng.permutation(len(asked))]
        same = {column, self.names[column], self.keys.get(column, column)} & set(asked.columns)
        asked = asked.with_columns(mixed.alias(name) for name in same)
        features = data.pipeline.features_of(asked, data.tables, notes=Notes())
        batch = {name: torch.from_numpy(array) for name, array in data.pipeline.arrays(features).items()}
        request: Arrays = as_arrays(tensor_inputs(batch))
        if isinstance(data, TextTableDataModule):
            texts = data.pipeline.texts(features)
            request = {**request, **token_inputs(data.tokenizer, texts, name=data.text_name, notes=Notes())}
        answer = self.predictor.predict(request)
        return named_answers(self.predictor, {spec.name: answer[spec.name] for spec in self.predictor.manifest.outputs})


def _most_asked(data: FeatureTableDataModule) -> int:
    if not isinstance(data, TextTableDataModule):
        return MOST_ASKED
    return min(_MOST_TEXTS, int(_MOST_TOKENS / max(1.0, data.dataset("test").num_tokens.mean())))


def _read(values: pl.Series, name: str, types: Mapping[str, str]) -> pl.Series:
    """Values as a request in JSON has them: cells of text files are numbers where the column is one of numbers."""
    if values.dtype == pl.String and types[name] in ("number", "whole number"):
        values = values.str.strip_chars().cast(pl.Float64, strict=False)
        if types[name] == "whole number":
            values = values.cast(pl.Int64, strict=False)
    return values.alias(name)


def _column_of(column: RawColumn, keys: Mapping[str, str], asked: pl.DataFrame) -> str | None:
    """Column of the asked rows with the values of a raw column; None if they have none."""
    if column.role == "time" and column.type == "timestamp":
        return TIME if TIME in asked.columns else None
    return next((name for name in (column.name, keys.get(column.name)) if name in asked.columns), None)
