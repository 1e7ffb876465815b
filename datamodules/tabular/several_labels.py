"""SeveralLabels: targets of rows with several labels, from a column each, or from one column of lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from datamodules.class_columns import class_columns
from datamodules.tabular.statistics import class_counts, target_statistics
from datamodules.tabular.targets import classes_of, named_classes, target_array

_MOST_LABELS = 1000
_SHOWN = 10
Classes = Sequence[str | int | bool]


@dataclass(frozen=True)
class SeveralLabels:
    """Labels of rows.

    Attributes:
        names: Names of the labels.
        classes: Names of the classes of each label; none of a number.
        targets: Class index or number of each row and label, float32 (N, T), NaN where unknown.
        from_lists: Whether they come from one column of lists: each is then of two classes, held or not.
    """

    names: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    targets: np.ndarray
    from_lists: bool = False

    @classmethod
    def of_columns(cls, columns: Mapping[str, pl.Series], classes: Mapping[str, Classes] | None) -> "SeveralLabels":
        """Labels of a column each; numbers that are 0 and 1 alone are two classes.

        Args:
            columns: Values of each label.
            classes: Given classes of some labels.

        Raises:
            ValueError: Classes are given for a label that there is not, or do not fit.
        """
        given = dict(classes or {})
        if unknown := sorted(given.keys() - columns.keys()):
            raise ValueError(f"data.classes: {unknown[0]!r} given, data.label has {', '.join(columns)}")
        named, targets = [], []
        for name, values in columns.items():
            if name in given:
                of_label = named_classes(given[name])
            elif values.dtype.is_numeric() and set(values.drop_nulls().unique().to_list()) <= {0, 1}:
                of_label = ("0", "1")
            else:
                of_label = classes_of(values, label=name)
            array = target_array(values, of_label).astype(np.float32)
            named.append(of_label)
            targets.append(np.where(array < 0, np.nan, array) if of_label else array)
        return cls(tuple(columns), tuple(named), np.stack(targets, axis=1).astype(np.float32))

    @classmethod
    def of_lists(cls, values: pl.Series, *, name: str, separator: str | None, given: Classes | None) -> "SeveralLabels":
        """Labels that are listed in the cells of one column.

        Args:
            values: Lists, or texts with a separator; an empty one holds no label, a null one is unknown.
            name: Name of the column's label, for messages.
            separator: Separator of texts.
            given: Names of all labels; None for those that occur.

        Raises:
            ValueError: There are too few or too many labels, or one is not among those given.
        """
        if not isinstance(values.dtype, pl.List):
            if not separator:
                raise ValueError("data.label_separator: '' given, a text such as '|' is needed")
            values = values.cast(pl.String).str.split(separator)
        cells = values.cast(pl.List(pl.String)).list.eval(pl.element().str.strip_chars())
        cells = cells.list.eval(pl.element().filter(pl.element() != ""))
        rows = np.repeat(np.arange(len(cells)), cells.list.len().fill_null(0).to_numpy())
        flat = cells.filter(cells.list.len().fill_null(0) > 0).explode()
        names = named_classes(given) if given is not None else tuple(sorted(flat.unique().to_list()))
        if not 2 <= len(names) <= _MOST_LABELS:
            raise ValueError(f"data.label: {name!r} lists {len(names):,} labels, 2 to {_MOST_LABELS:,} are needed")
        index = flat.replace_strict(list(names), list(range(len(names))), default=None, return_dtype=pl.Int64)
        if index.null_count():
            wrong = flat.filter(index.is_null())
            raise ValueError(
                f"data.classes: the label {wrong[0]!r} of {index.null_count():,} rows is not among {list(names)}"
            )
        targets = np.zeros((len(cells), len(names)), dtype=np.float32)
        targets[rows, index.to_numpy()] = 1.0
        targets[cells.is_null().to_numpy()] = np.nan
        return cls(names, (("no", "yes"),) * len(names), targets, from_lists=True)

    @property
    def heads(self) -> dict[str, int]:
        """Number of classes of each label; 0 of a number."""
        return {name: len(classes) for name, classes in zip(self.names, self.classes, strict=True)}

    @property
    def output_size(self) -> int:
        """Outputs of a network for all labels."""
        return sum(max(1, size if size > 2 else 1) for size in self.heads.values())

    def statistics(self, train: np.ndarray) -> dict[str, Tensor]:
        """Statistics of each label over the training rows, by name `LABEL/class_counts`, `LABEL/target_mean`, ...

        Args:
            train: Positions of the training rows.

        Raises:
            ValueError: No training row has a label.
        """
        found: dict[str, Tensor] = {}
        for place, (name, size) in enumerate(self.heads.items()):
            known = self.targets[train, place]
            known = torch.from_numpy(known[~np.isnan(known)])
            if not len(known):
                raise ValueError(f"data.label: no training row has the label {name!r}")
            own = class_counts(known.long(), num_classes=size) if size else target_statistics(known)
            found |= {f"{name}/{key}": value for key, value in own.items()}
        return found

    def truth_columns(self, positions: np.ndarray) -> list[pl.Series]:
        """Labels of rows: `truth.LABEL` each, or one column `truth` of lists.

        Args:
            positions: Of the rows.
        """
        targets = self.targets[positions]
        if self.from_lists:
            unknown = np.isnan(targets).all(axis=1)
            lists = [
                None if gone else [self.names[place] for place in np.flatnonzero(row > 0)]
                for row, gone in zip(targets, unknown, strict=True)
            ]
            return [pl.Series("truth", lists, dtype=pl.List(pl.String))]
        columns = []
        for name, classes, own in zip(self.names, self.classes, targets.T, strict=True):
            values = pl.Series(own.astype(np.float64)).fill_nan(None)
            if classes:
                values = pl.Series(list(classes), dtype=pl.String).gather(values.cast(pl.Int64))
            columns.append(values.alias(f"truth.{name}"))
        return columns

    def prediction_columns(self, outputs: Mapping[str, np.ndarray]) -> list[pl.Series]:
        """Columns of predictions, named as in packages.

        Args:
            outputs: `probabilities` and `decided` of all labels, or `LABEL.probabilities`, `LABEL.prediction`, ...
        """
        if "probabilities" in outputs:
            lists = [[self.names[place] for place in np.flatnonzero(row)] for row in outputs["decided"]]
            return [
                pl.Series("labels", lists, dtype=pl.List(pl.String)),
                pl.Series("probabilities", outputs["probabilities"]),
            ]
        columns = []
        for name, classes in zip(self.names, self.classes, strict=True):
            if not classes:
                columns.append(pl.Series(f"{name}.prediction", outputs[f"{name}.prediction"]))
                continue
            own = class_columns(outputs[f"{name}.probabilities"], classes, decided=outputs.get(f"{name}.decided"))
            columns += [column.alias(f"{name}.{column.name}") for column in own]
        return columns

    def describe(self) -> str:
        """Labels in words, for the report."""
        if self.from_lists:
            more = " ..." if len(self.names) > _SHOWN else ""
            return f"any of {len(self.names)} labels ({', '.join(self.names[:_SHOWN])}{more})"
        kinds = (f"{size} classes" if size else "a number" for size in self.heads.values())
        return "; ".join(f"{name}, {kind}" for name, kind in zip(self.names, kinds, strict=True))

    def gaps(self) -> list[tuple[str, int]]:
        """Labels that some of the rows with another label lack, and how many."""
        known = ~np.isnan(self.targets)
        missing = (known.any(axis=1, keepdims=True) & ~known).sum(axis=0)
        return [(name, int(count)) for name, count in zip(self.names, missing, strict=True) if count]
