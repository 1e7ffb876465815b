"""RowLabels: the label of each row, or several labels, as classes and targets."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
import polars as pl

from datamodules.tabular.several_labels import SeveralLabels
from datamodules.tabular.targets import classes_of, label_column, named_classes, near_numbers, target_array
from features.definitions import FutureAggregate, LabelColumn
from features.sources import Notes


class RowLabels:
    """Labels of all rows of a table.

    Args:
        labels: Their definitions, by name.
        rows: The rows.
        aggregated: Values of a label of kind `future`, by its name.
        classes: See `FeatureTableDataModule`.
        suffix: Removed from labels that end with it.
        separator: Of several labels in a cell.
        notes: Takes what is removed.
    """

    def __init__(
        self,
        *,
        labels: Mapping[str, LabelColumn | FutureAggregate],
        rows: pl.DataFrame,
        aggregated: Callable[[str], pl.Series],
        classes: Sequence[str | int | bool] | Mapping[str, Sequence[str | int | bool]] | None,
        suffix: str,
        separator: str | None,
        notes: Notes,
    ) -> None:
        self._labels = labels
        self._rows = rows
        self._aggregated = aggregated
        self._given_classes = classes
        self._suffix = suffix
        self._separator = separator
        self._notes = notes
        self._name = ", ".join(labels)

    @cached_property
    def several(self) -> SeveralLabels | None:
        """Labels of rows that have several; None if there is one."""
        given = self._given_classes
        if len(self._labels) > 1:
            assert not isinstance(given, Sequence)
            columns = {
                name: self._values_of(name, label, has_classes=name in (given or {}))
                for name, label in self._labels.items()
            }
            return SeveralLabels.of_columns(columns, given or {})
        (label,) = self._labels.values()
        if not isinstance(label, LabelColumn) or label.column not in self._rows.columns:
            return None
        values = self._rows[label.column]
        if self._separator is None and not isinstance(values.dtype, pl.List):
            return None
        assert not isinstance(given, Mapping)
        return SeveralLabels.of_lists(values, name=self._name, separator=self._separator, given=given)

    def _values_of(self, name: str, label: LabelColumn | FutureAggregate, *, has_classes: bool) -> pl.Series:
        """Values of a label, numbers or texts; null where unknown."""
        if isinstance(label, FutureAggregate):
            return self._aggregated(name)
        labels = label_column(self._rows, label.column, has_classes=has_classes, suffix=self._suffix)
        if self._suffix:
            given = self._rows[label.column].cast(pl.String).str.strip_chars()
            shortened = int(given.str.ends_with(self._suffix).sum())
            self._notes.add("labels", f"end with {self._suffix!r}: removed", shortened)
            if not shortened:
                self._notes.add("labels", f"do not end with data.label_suffix {self._suffix!r}", len(given))
        return labels

    @cached_property
    def _values(self) -> pl.Series:
        """Values of the one label."""
        ((name, label),) = self._labels.items()
        return self._values_of(name, label, has_classes=self._given_classes is not None)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by index; none if the label is a number, or there are several labels."""
        if self.several is not None:
            return ()
        if self._given_classes is not None:
            assert not isinstance(self._given_classes, Mapping)
            return named_classes(self._given_classes)
        return classes_of(self._values, label=self._name)

    @cached_property
    def targets(self) -> np.ndarray:
        """Target of each row: class index, or the number; NaN or -1 where it is unknown; (N, T) of several labels."""
        return target_array(self._values, self.classes) if self.several is None else self.several.targets

    @cached_property
    def known(self) -> np.ndarray:
        """Positions of the rows with a label, or with one of several, int64, ascending."""
        if self.several is not None:
            return np.flatnonzero(~np.isnan(self.targets).all(axis=1))
        return np.flatnonzero(self.targets >= 0) if self.classes else np.flatnonzero(np.isfinite(self.targets))

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of classes by label, 0 of a number."""
        return {self._name: len(self.classes)} if self.several is None else self.several.heads

    @property
    def class_columns(self) -> set[str]:
        """Columns of the labels that have classes; not of lists of labels."""
        if self.several is not None and self.several.from_lists:
            return set()
        labels = zip(self._labels.values(), self.sizes.values(), strict=True)
        return {label.column for label, size in labels if size and isinstance(label, LabelColumn)}

    @property
    def output_size(self) -> int:
        """Outputs of a network: one per class, one for two classes, one for a number; of all labels together."""
        if self.several is not None:
            return self.several.output_size
        return len(self.classes) if len(self.classes) > 2 else 1

    def truth_columns(self, positions: np.ndarray) -> list[pl.Series]:
        """The label of rows as a column `truth`: names of classes, or numbers; null where unknown.

        Args:
            positions: Of the rows, int64 (N,).
        """
        if self.several is not None:
            return self.several.truth_columns(positions)
        targets = self.targets[positions]
        if not self.classes:
            return [pl.Series("truth", targets).fill_nan(None)]
        index = pl.Series(targets).set(pl.Series(targets < 0), None)
        return [pl.Series("truth", list(self.classes), dtype=pl.String).gather(index)]

    def encoded_columns(self) -> list[pl.Series]:
        """Labels of numbers or two classes as numbers, for target encodings: 1 for the second class."""
        if self.several is not None and self.several.from_lists:
            return []
        several = self.several
        classes = [self.classes] if several is None else several.classes
        targets = self.targets.reshape(len(self.targets), -1).T
        columns = []
        for label, names, values in zip(self._labels.values(), classes, targets, strict=True):
            if isinstance(label, LabelColumn) and len(names) <= 2:
                encoded = pl.Series(label.column, values, dtype=pl.Float64).fill_nan(None)
                columns.append(encoded.set(encoded < 0, None) if names else encoded)
        return columns

    def near_numbers(self) -> str | None:
        """A line on a label whose values are numbers but for a few; see `targets.near_numbers`."""
        if self.several is not None or self._given_classes is not None:
            return None
        return near_numbers(self._values, label=self._name)
