"""FeatureTableDataModule: labelled rows of a table, with features computed from definitions."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from typing_extensions import override

from datamodules.base import BaseDataModule, Split
from datamodules.class_columns import class_columns
from datamodules.table_contract import TableContract
from datamodules.tabular.feature_rows import FeatureRows
from datamodules.tabular.splits import TableRows, TableSplit
from datamodules.tabular.statistics import number_statistics, target_statistics
from datamodules.tabular.targets import classes_of, label_column, named_classes, target_array
from datamodules.tabular.text_table import TextFormat, locate, read_source_table, read_text_table, shipped_config
from features.contracts import Contract
from features.definitions import Definitions, FutureAggregate, LabelColumn, TargetEncoding
from features.definitions.columns_read import TIME
from features.pipeline import AskedRows, FeaturePipeline, Layout
from features.pipeline.needed import event_columns, key_types, reads_time
from features.rows import required_features
from features.sources import ROW, Notes
from features.versions.references import pinned


class FeatureTableDataModule(BaseDataModule):
    """Data for `TabularModule`: rows of a table, their features by definition, and their label.

    The rows are those of a table (`rows`), which may be its own history (`history`), or the entities of a source that
    had an event before a time (`entities`, `at`). Features see nothing that was not known at the time of their row.
    Fitted features are fitted on the training rows. A batch has `numbers` float32 (B, F) with NaN where missing,
    `categories` int64 (B, K) with 0 for unknown and 1 for missing, `vectors` float32 (B, V), each only where there are
    such features, and `target` and `row`. Rows without a label are left out of training, validation and test, and
    counted; `predict` answers every row.

    Args:
        definitions: Features file, YAML or JSON, or the name of one that comes along, below `configs`.
        label: Name of a label in it.
        split: The split protocol.
        rows: CSV or parquet file, Delta table or snapshot with the rows; None with `entities`.
        history: Source of the definitions whose events are the rows themselves; None for the one source that has no
            path, if there is one.
        entities: Source of the definitions whose entities are the rows; needs `at`.
        at: Time that is asked about, ISO 8601, or the column of the rows that holds it; several times with `entities`.
            None for the time of `history`, or for rows without a time.
        features: Full names of features, or names of views; None for all.
        classes: Classes of the label, in this order; None for the values of a label of text or truth values, while a
            label of numbers is predicted as a number.
        csv: How the file of rows is written, as `csv` of a source: `{separator: ";"}`; None for the format of
            `history`, or a plain CSV file.
        contract: Data contract that the table `rows` has to keep, see `features.contracts`; None for none.
        quarantine: Parquet file of the rows that the contract moves aside.
        batch_size: Rows per training batch and process.
        eval_batch_size: Maximum rows per batch outside training; None for `batch_size`. Does not affect metrics.
        root: Folder of raw files; None for `$LIGHTNING_APP_DATA`, else `./data`.
        num_workers: Worker processes that gather batches.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments = ("num_numbers", "cardinalities", "vector_size", "num_classes", "output_size")
    sample_name = "rows"

    def __init__(
        self,
        *,
        definitions: str | Path,
        label: str,
        split: TableSplit,
        rows: str | Path | None = None,
        history: str | None = None,
        entities: str | None = None,
        at: str | Sequence[str] | None = None,
        features: Sequence[str] | None = None,
        classes: Sequence[str | int | bool] | None = None,
        csv: TextFormat | None = None,
        contract: str | Path | None = None,
        quarantine: str | Path | None = None,
        batch_size: int = 256,
        eval_batch_size: int | None = None,
        root: str | Path | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, pin_memory=pin_memory
        )
        if (rows is None) == (entities is None):
            given = "both" if rows is not None else "neither"
            raise ValueError(
                f"data.rows and data.entities: {given} given; give the table of rows, or the source of the entities"
            )
        self.definitions_path = shipped_config(definitions) or Path(definitions)
        if Path(definitions).exists() or not self.definitions_path.exists():
            self.definitions_path = locate(definitions, root=root, key="data.definitions")
        self.definitions = Definitions.load(self.definitions_path)
        self.label_name = label
        self.label = self.definitions.label(label)
        self.split = split
        if contract is not None and rows is None:
            raise ValueError(f"data.contract: {contract} given with data.entities; a contract is for data.rows")
        self.rows_path = rows
        self._contract = TableContract.given(contract, quarantine=quarantine, key="data")
        self.moments, time = _moments(at)
        self.asked = AskedRows(
            history=None if rows is None else (history or self._own_history()),
            entities=entities,
            time=time,
            csv=None if csv is None else csv.definition(),
        )
        self.asked.check(self.definitions)
        self.features = self.definitions.select(features)
        self.given_classes = None if classes is None else tuple(classes)
        self.root = root
        self._notes = Notes()
        if isinstance(self.label, LabelColumn) and entities is not None:
            raise ValueError(
                f"data.label: {label!r} is a column of the rows; with data.entities a label of kind `future` is needed"
            )
        has_time = time is not None or self.moments is not None or self.asked.history is not None
        if not has_time and (reads_time(self.definitions, self.features) or isinstance(self.label, FutureAggregate)):
            raise ValueError(
                "data.at: none given, but features or the label depend on the time of a row; name its column, or a time"
            )
        self.has_time = has_time

    def _own_history(self) -> str | None:
        pathless = [name for name, source in self.definitions.sources.items() if source.path is None]
        return pathless[0] if len(pathless) == 1 else None

    @cached_property
    def raw(self) -> pl.DataFrame:
        """The table that rows are made of, as its file has it: rows, or events of `entities`."""
        if self.asked.entities is None:
            assert self.rows_path is not None
            csv = self.asked.csv_format(self.definitions)
            table = read_text_table(self.rows_path, csv=csv, root=self.root, key="data.rows")
            file = Path(self.rows_path)
            return table if self._contract is None else self._contract.keep(table, file=file, root=self.root)
        return self._source_table(self.asked.entities)

    def _source_table(self, name: str) -> pl.DataFrame:
        return read_source_table(self.definitions, name, path=self.definitions_path, root=self.root)

    @cached_property
    def tables(self) -> dict[str, pl.DataFrame]:
        """Tables of the sources that features and label read, by name."""
        names = set(event_columns(self.definitions, self.features))
        if isinstance(self.label, FutureAggregate):
            names.add(self.label.source)
        own = self.asked.tables_of(self.definitions, self.raw)
        return {name: own[name] if name in own else self._source_table(name) for name in sorted(names)}

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The rows that are asked about, with their time as column `time`."""
        notes = Notes()
        rows = self.asked.read(self.definitions, self.raw, at=self.moments, notes=notes)
        self._notes.counts.update(notes.counts)
        return rows

    @cached_property
    def _targets(self) -> pl.Series:
        """Labels of all rows, numbers or texts; null where unknown."""
        if isinstance(self.label, FutureAggregate):
            notes = Notes()
            labels = self._unfitted.labels(self.rows, self.tables, self.label_name, notes=notes)
            self._notes.counts.update(notes.counts)
            return labels
        return label_column(self.rows, self.label.column, has_classes=self.given_classes is not None)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by index; none if the label is a number."""
        if self.given_classes is not None:
            return named_classes(self.given_classes)
        return classes_of(self._targets, label=self.label_name)

    @cached_property
    def targets(self) -> np.ndarray:
        """Target of each row: class index, or the number; NaN or -1 where it is unknown."""
        return target_array(self._targets, self.classes)

    @cached_property
    def split_rows(self) -> TableRows:
        """Positions of the rows of each split."""
        known = np.flatnonzero(self.targets >= 0) if self.classes else np.flatnonzero(np.isfinite(self.targets))
        lost = len(self.targets) - len(known)
        kind = "have no label: left out of training, validation and test"
        if isinstance(self.label, FutureAggregate):
            kind = "have no label, or its window ends after the events: left out of training, validation and test"
        self._notes.add("rows", kind, lost)
        if not len(known):
            raise ValueError(f"data.label: no row has the label {self.label_name!r}")
        parts = self.split.split(self.rows[known])
        return TableRows(*(known[part] for part in (parts.train, parts.val, parts.test)))

    @property
    def _unfitted(self) -> FeaturePipeline:
        return FeaturePipeline(definitions=self.definitions, features=self.features, rows=self.asked)

    @cached_property
    def pipeline(self) -> FeaturePipeline:
        """From raw tables to arrays, fitted on the training rows."""
        train = self.split_rows.train
        if not len(train):
            raise ValueError("data.split: no row trains")
        return self._unfitted.fit(self._labelled_rows, self.tables, train=train, notes=Notes())

    @property
    def _labelled_rows(self) -> pl.DataFrame:
        """The rows with their label as a number, for target encodings: 1 for the second of two classes."""
        if not isinstance(self.label, LabelColumn) or len(self.classes) > 2:
            return self.rows
        known = pl.Series(self.label.column, self.targets, dtype=pl.Float64).fill_nan(None)
        return self.rows.with_columns(known.set(known < 0, None) if self.classes else known)

    @cached_property
    def arrays(self) -> dict[str, Tensor]:
        """Features of all rows, and `target`; target encodings of training rows do not know the label of their row."""
        dtype = torch.long if self.classes else torch.float32
        target = torch.from_numpy(self.targets).to(dtype)
        return {**self._features(self._labelled_rows, train=self.split_rows.train), "target": target}

    @cached_property
    def served_arrays(self) -> dict[str, Tensor]:
        """Features of all rows as a package computes them, which knows no training rows."""
        needed = required_features(self.definitions, self.features)
        if any(isinstance(self.definitions.feature(full), TargetEncoding) for full in needed):
            return self._features(self.rows, train=None)
        return {name: value for name, value in self.arrays.items() if name != "target"}

    def _features(self, rows: pl.DataFrame, *, train: np.ndarray | None) -> dict[str, Tensor]:
        notes = Notes()
        table = self.pipeline.features_of(rows, self.tables, train=train, notes=notes)
        self._notes.counts.update(notes.counts)
        return {name: torch.from_numpy(array) for name, array in self.pipeline.arrays(table).items()}

    @property
    def num_numbers(self) -> int:
        """Number columns, F."""
        return len(self._layout.numbers)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Categories of each category column, K numbers."""
        return tuple(column.size for column in self._layout.categories)

    @property
    def vector_size(self) -> int:
        """Size of all vectors together, V."""
        return sum(column.size for column in self._layout.vectors)

    @property
    def _layout(self) -> Layout:
        assert self.pipeline.layout is not None
        return self.pipeline.layout

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 if the label is a number."""
        return len(self.classes)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes."""
        return list(self.classes)

    @property
    def output_size(self) -> int:
        """Outputs of a network: one per class, one for two classes, one for a number."""
        return self.num_classes if self.num_classes > 2 else 1

    @cached_property
    def statistics(self) -> dict[str, Tensor]:
        """Statistics of the training rows.

        Returns:
            `mean`, `std` and `may_miss` (F,) of the numbers, `target_mean` and `target_std` of a label of numbers, and
            `digest` uint8 (32,) of the features.
        """
        train = torch.from_numpy(self.split_rows.train)
        statistics = {"digest": torch.frombuffer(bytearray.fromhex(self.pipeline.digest), dtype=torch.uint8)}
        if not self.classes:
            statistics |= target_statistics(self.arrays["target"][train])
        numbers = self.arrays["numbers"][train] if self.num_numbers else torch.zeros(len(train), 0)
        return {**statistics, **number_statistics(numbers)}

    @override
    def setup(self, stage: str) -> None:
        """Reads the tables, fits the features and computes them; checks that the splits of this stage have rows."""
        for split in {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ()):
            if not len(self.dataset(split)):  # type: ignore[arg-type]
                raise ValueError(f"data.split: {self.split.describe()} leaves no row for {split}")

    @override
    def dataset(self, split: Split) -> FeatureRows:
        if split == "predict":
            return FeatureRows(self.served_arrays, np.arange(len(self.rows)))
        return FeatureRows(self.arrays, getattr(self.split_rows, split))

    @property
    def key_names(self) -> list[str]:
        """Columns that tell rows apart: keys of entities, and the time, as far as the rows have them."""
        keys = [key for key in key_types(self.definitions, self.features) if key in self.rows.columns]
        return [*keys, *([TIME] if self.has_time and TIME not in keys else [])]

    @override
    def prediction_table(self, outputs: dict[str, Tensor]) -> pl.DataFrame:
        """A row per row: number `row` in the table, keys and time, and `prediction` or class columns."""
        rows = outputs["row"].numpy()
        asked = self.rows[rows]
        columns = [asked[ROW].cast(pl.Int64).alias("row"), *(asked[name] for name in self.key_names)]
        if self.classes:
            columns += class_columns(outputs["probabilities"].numpy(), self.class_names)
        else:
            columns.append(pl.Series("prediction", outputs["prediction"].numpy()))
        return pl.DataFrame(columns)

    @override
    def notes(self) -> list[str]:
        return [*([] if self._contract is None else self._contract.notes()), *self._notes.lines()]

    @property
    @override
    def contract(self) -> Contract | None:
        return None if self._contract is None else self._contract.load(root=self.root)

    @override
    def fingerprint(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for name in sorted(self.arrays):
            digest.update(self.arrays[name].numpy().tobytes())
        for part in (self.split_rows.train, self.split_rows.val, self.split_rows.test):
            digest.update(part.tobytes())
        return {
            "source": self._source_name,
            "definitions": self.definitions.digest,
            "rows": len(self.rows),
            "sha256": digest.hexdigest(),
            **({} if self._contract is None else {"contract": self._contract.sha256(root=self.root)}),
        }

    @property
    def _source_name(self) -> str:
        if self.rows_path is None:
            return f"entities of {self.asked.entities}"
        return Path(pinned(str(self.rows_path))).name

    @override
    def protocol(self) -> dict[str, Any]:
        parts = self.split_rows
        layout = self._layout
        counts = {"numbers": len(layout.numbers), "categories": len(layout.categories), "vectors": len(layout.vectors)}
        unit = f" ({self.label.unit})" if self.label.unit else ""
        return {
            "data": f"{self._source_name}, {len(self.rows):,} rows",
            "label": f"{self.label_name}{unit}, {f'{self.num_classes} classes' if self.classes else 'a number'}",
            "features": f"{', '.join(f'{count} {name}' for name, count in counts.items() if count)}, of "
            f"{self.definitions_path.name}, as known at the time of the row",
            "split": f"{self.split.describe()}; {len(parts.train):,} train, {len(parts.val):,} validation, "
            f"{len(parts.test):,} test",
            "selection": "on the validation split only",
        }


def _moments(at: str | Sequence[str] | None) -> tuple[list[datetime] | None, str | None]:
    """Times that are given, or the name of a column."""
    if at is None:
        return None, None
    if isinstance(at, str):
        try:
            return [datetime.fromisoformat(at)], None
        except ValueError:
            return None, at
    try:
        return [datetime.fromisoformat(one) for one in at], None
    except ValueError as error:
        raise ValueError(f"data.at: {list(at)} given, times in ISO 8601 are needed: {error}") from error
