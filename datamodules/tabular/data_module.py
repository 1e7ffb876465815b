"""FeatureTableDataModule: labelled rows of a table, with features computed from definitions."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch
from torch import Tensor
from typing_extensions import override

from datamodules.base import BaseDataModule, Split
from datamodules.class_columns import class_columns
from datamodules.table_contract import TableContract
from datamodules.tabular.feature_rows import FeatureRows
from datamodules.tabular.leaks import identities_of, labels_in_disguise, repeated_rows
from datamodules.tabular.row_files import RowFiles
from datamodules.tabular.row_labels import RowLabels
from datamodules.tabular.row_source import RowSource
from datamodules.tabular.several_labels import SeveralLabels
from datamodules.tabular.splits import TableRows, TableSplit
from datamodules.tabular.statistics import class_counts, number_quantiles, number_statistics, target_statistics
from datamodules.tabular.strata import as_classes
from datamodules.tabular.table_oddities import class_oddities, constant_features, oddities_of_several
from datamodules.tabular.text_table import TextFormat, definitions_file, read_source_table
from features.contracts import Contract
from features.definitions import Definitions, FutureAggregate, LabelColumn, TargetEncoding, Text
from features.definitions.columns_read import TIME
from features.pipeline import AskedRows, FeaturePipeline, Layout
from features.pipeline.needed import event_columns, key_types, reads_time, request_columns
from features.rows import required_features
from features.sources import ROW, Notes


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
        label: Name of a label in it, or of several, which `MultiLabel` and `MultiTask` predict together; a row that
            lacks some of them still has the others.
        label_separator: Separator of several labels in the cells of one column, such as `|`; a column of lists needs
            none.
        split: The split protocol; None if `rows` names a file for each split.
        rows: CSV, TSV, JSON lines or parquet file, Delta table or snapshot with the rows, or a table that scikit-learn
            brings, `sklearn:wine`; or `{train: FILE, val: FILE, test: FILE}` where they are published in several files;
            without `val`, `split` cuts validation rows from the training file. None with `entities`.
        history: Source of the definitions whose events are the rows themselves; None for the one source that has no
            path, if there is one.
        entities: Source of the definitions whose entities are the rows; needs `at`.
        at: Time that is asked about, ISO 8601, or the column of the rows that holds it; several times with `entities`.
            None for the time of `history`, or for rows without a time.
        features: Full names of features, or names of views; None for all.
        classes: Classes of the label, in this order; None for the values of a label of text or truth values, while a
            label of numbers is predicted as a number. Of several labels, `{LABEL: [...]}`; of lists, the labels.
        label_suffix: Removed from labels that end with it, such as the dot after the labels of a published test file.
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

    model_arguments: ClassVar[tuple[str, ...]] = (
        "num_numbers",
        "cardinalities",
        "vector_size",
        "num_classes",
        "num_labels",
        "output_size",
    )
    sample_name = "rows"
    takes_texts: ClassVar[bool] = False
    """Whether features of kind `text` become tokens."""

    def __init__(
        self,
        *,
        definitions: str | Path,
        label: str | Sequence[str],
        split: TableSplit | None = None,
        rows: str | RowFiles | Path | None = None,  # a str first: `people.csv` is no import path of RowFiles
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
        self.definitions_path = definitions_file(definitions, root=root)
        self.definitions = Definitions.load(self.definitions_path)
        self.label_names = (label,) if isinstance(label, str) else tuple(label)
        if not self.label_names or len(set(self.label_names)) < len(self.label_names):
            raise ValueError(f"data.label: {list(self.label_names)} given, one or several different ones are needed")
        if len(self.label_names) > 1 and label_separator is not None:
            raise ValueError(f"data.label_separator: {label_separator!r} given, it is for the lists of a single label")
        self.labels = tuple(self.definitions.label(name) for name in self.label_names)
        self.label_name, self.label = ", ".join(self.label_names), self.labels[0]
        self.label_separator = label_separator
        self._source = RowSource(rows, split)
        self.split = split
        self.label_suffix = label_suffix
        if label_suffix and not isinstance(self.label, LabelColumn):
            raise ValueError(f"data.label_suffix: {label_suffix!r} given, the label {label!r} is no column of the rows")
        if contract is not None and isinstance(rows, RowFiles):
            raise ValueError(f"data.contract: {contract} given, a contract is for one table; data.rows names several")
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
        self._check_texts()
        self.given_classes = classes
        if isinstance(classes, Mapping) != (len(self.label_names) > 1) and classes is not None:
            raise ValueError("data.classes: a list is needed for one label, {LABEL: [...]} for several")
        self.root = root
        self._notes = Notes()
        if any(isinstance(one, LabelColumn) for one in self.labels) and entities is not None:
            raise ValueError(
                f"data.label: {self.label_name!r} is a column of the rows; with data.entities a label of kind `future` "
                "is needed"
            )
        has_time = time is not None or self.moments is not None or self.asked.history is not None
        if not has_time and (reads_time(self.definitions, self.features) or self._looks_ahead):
            raise ValueError(
                "data.at: none given, but features or the label depend on the time of a row; name its column, or a time"
            )
        self.has_time = has_time

    def _check_texts(self) -> None:
        texts = [full for full in self.features if isinstance(self.definitions.feature(full), Text)]
        if texts and not self.takes_texts:
            raise ValueError(
                f"data.features: {texts[0]!r} is a text, which {type(self).__name__} does not tokenise; take "
                "datamodules.text.TextTableDataModule, or leave it out of data.features"
            )

    @property
    def _looks_ahead(self) -> bool:
        return any(isinstance(one, FutureAggregate) for one in self.labels)

    def _own_history(self) -> str | None:
        pathless = [name for name, source in self.definitions.sources.items() if source.path is None]
        return pathless[0] if len(pathless) == 1 else None

    @cached_property
    def raw(self) -> pl.DataFrame:
        """The table that rows are made of, as its file has it: rows, or events of `entities`."""
        if self.asked.entities is None:
            assert self.rows_path is not None
            table = self._read_rows[0]
            if self._contract is None:
                return table
            assert not isinstance(self.rows_path, RowFiles)
            return self._contract.keep(table, file=Path(self.rows_path), root=self.root)
        return self._source_table(self.asked.entities)

    @cached_property
    def _read_rows(self) -> tuple[pl.DataFrame, dict[str, int]]:
        """The rows as their files have them, and how many each of several files has."""
        needed = {*request_columns(self.definitions, self.features), *([self.asked.time] if self.asked.time else [])}
        needed |= {label.column for label in self.labels if isinstance(label, LabelColumn)}
        return self._source.read(csv=self.asked.csv_format(self.definitions), root=self.root, needed=needed)

    def _source_table(self, name: str) -> pl.DataFrame:
        return read_source_table(self.definitions, name, path=self.definitions_path, root=self.root)

    @cached_property
    def tables(self) -> dict[str, pl.DataFrame]:
        """Tables of the sources that features and label read, by name."""
        names = set(event_columns(self.definitions, self.features))
        names |= {label.source for label in self.labels if isinstance(label, FutureAggregate)}
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
    def _row_labels(self) -> RowLabels:
        return RowLabels(
            labels=dict(zip(self.label_names, self.labels, strict=True)),
            rows=self.rows,
            aggregated=self._aggregated_label,
            classes=self.given_classes,
            suffix=self.label_suffix,
            separator=self.label_separator,
            notes=self._notes,
        )

    def _aggregated_label(self, name: str) -> pl.Series:
        notes = Notes()
        labels = self._unfitted.labels(self.rows, self.tables, name, notes=notes)
        self._notes.counts.update(notes.counts)
        return labels

    @property
    def several_labels(self) -> SeveralLabels | None:
        """Labels of rows that have several; None if there is one."""
        return self._row_labels.several

    @property
    def heads(self) -> Mapping[str, int] | None:
        """Number of classes of each of several labels, 0 of a number; None if there is one label."""
        return None if self.several_labels is None else self.several_labels.heads

    @property
    def num_labels(self) -> int:
        """Number of labels."""
        return len(self._row_labels.sizes)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by index; none if the label is a number, or there are several labels."""
        return self._row_labels.classes

    @property
    def targets(self) -> np.ndarray:
        """Target of each row: class index, or the number; NaN or -1 where it is unknown; (N, T) of several labels."""
        return self._row_labels.targets

    @property
    def labelled_rows(self) -> np.ndarray:
        """Positions of the rows with a label, or with one of several, int64, ascending."""
        return self._row_labels.known

    def truth_columns(self, positions: np.ndarray) -> list[pl.Series]:
        """The label of rows as a column `truth`: names of classes, or numbers; null where unknown.

        Args:
            positions: Of the rows, int64 (N,).
        """
        return self._row_labels.truth_columns(positions)

    @cached_property
    def split_rows(self) -> TableRows:
        """Positions of the rows of each split."""
        known = self.labelled_rows
        lost = len(self.targets) - len(known)
        kind = "have no label: left out of training, validation and test"
        if self._looks_ahead:
            kind = "have no label, or its window ends after the events: left out of training, validation and test"
        self._notes.add("rows", kind, lost)
        for name, count in () if self.several_labels is None else self.several_labels.gaps():
            self._notes.add("rows", f"have no label {name!r}, and train the others alone", count)
        if not len(known):
            raise ValueError(f"data.label: no row has the label {self.label_name!r}")
        rows = self.rows[known]
        if self.split is not None and self.split.stratify in self._row_labels.class_columns:
            rows = rows.with_columns(as_classes(rows[self.split.stratify]))
        parts = self._source.split_rows(rows, {} if self.rows_path is None else self._read_rows[1])
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
        """The rows with their label as a number, for target encodings."""
        return self.rows.with_columns(self._row_labels.encoded_columns())

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
        """Outputs of a network: one per class, one for two classes, one for a number; of all labels together."""
        return self._row_labels.output_size

    @cached_property
    def statistics(self) -> dict[str, Tensor]:
        """Statistics of the training rows.

        Returns:
            `mean`, `std` and `may_miss` (F,) and `quantiles` (F, levels) of the numbers, `target_mean` and `target_std`
            of a label of numbers or `class_counts` int64 (C,) (of several labels as `LABEL/target_mean`, ...), and
            `digest` uint8 (32,) of the features.
        """
        train = torch.from_numpy(self.split_rows.train)
        statistics = {"digest": torch.frombuffer(bytearray.fromhex(self.pipeline.digest), dtype=torch.uint8)}
        target = self.arrays["target"][train]
        if self.several_labels is not None:
            statistics |= self.several_labels.statistics(self.split_rows.train)
        elif self.classes:
            statistics |= class_counts(target, num_classes=self.num_classes)
        else:
            statistics |= target_statistics(target)
        numbers = self.arrays["numbers"][train] if self.num_numbers else torch.zeros(len(train), 0)
        return {**statistics, **number_statistics(numbers), "quantiles": number_quantiles(numbers)}

    @override
    def setup(self, stage: str) -> None:
        """Reads the tables, fits the features and computes them; checks that the splits of this stage have rows."""
        for split in {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ()):
            if not len(self.dataset(split)):  # type: ignore[arg-type]
                raise ValueError(f"data.split: {self._source.describe_split()} leaves no row for {split}")

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
        if self.several_labels is not None:
            columns += self.several_labels.prediction_columns({name: one.numpy() for name, one in outputs.items()})
        elif self.classes:
            decided = outputs["decided"].numpy() if "decided" in outputs else None
            columns += class_columns(outputs["probabilities"].numpy(), self.class_names, decided=decided)
        else:
            columns.append(pl.Series("prediction", outputs["prediction"].numpy()))
        return pl.DataFrame(columns)

    @override
    def notes(self) -> list[str]:
        train = self.split_rows.train
        odd, several = self._row_labels.near_numbers(), self.several_labels
        return [
            *([] if self._contract is None else self._contract.notes()),
            *self._notes.lines(),
            *constant_features({name: values[train] for name, values in self.arrays.items()}, self._layout),
            *([] if odd is None else [odd]),
            *(
                class_oddities(self.targets, self.classes, self.split_rows)
                if several is None
                else oddities_of_several(several, self.split_rows)
            ),
            *self._leaks,
        ]

    @cached_property
    def _leaks(self) -> list[str]:
        parts, heads = self.split_rows, self._row_labels.sizes
        targets = self.targets.reshape(len(self.targets), -1)
        disguised = labels_in_disguise(self._inputs, self._layout, targets, parts, heads=heads)
        return [*disguised, *repeated_rows(self._identities(), targets, parts)]

    @property
    def _inputs(self) -> dict[str, Tensor]:
        return {name: values for name, values in self.arrays.items() if name != "target"}

    def _identities(self) -> np.ndarray:
        """Equal numbers for rows with equal features, uint64 (N,)."""
        return identities_of(self._inputs)

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
        return self._source.name

    @override
    def protocol(self) -> dict[str, Any]:
        parts = self.split_rows
        layout = self._layout
        counts = {
            "numbers": len(layout.numbers),
            "categories": len(layout.categories),
            "vectors": len(layout.vectors),
            "text": len(layout.texts),
        }
        unit = f" ({self.label.unit})" if self.label.unit else ""
        label = f"{self.label_name}{unit}, {f'{self.num_classes} classes' if self.classes else 'a number'}"
        return {
            "data": f"{self._source_name}, {len(self.rows):,} rows",
            "label": label if self.several_labels is None else self.several_labels.describe(),
            "features": f"{', '.join(f'{count} {name}' for name, count in counts.items() if count)}, of "
            f"{self.definitions_path.name}, as known at the time of the row",
            "split": f"{self._source.describe_split()}; {len(parts.train):,} train, {len(parts.val):,} validation, "
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
