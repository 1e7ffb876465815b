"""Oddities of training rows, for the report: features with one value, classes with no example or with a single one."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from datamodules.tabular.several_labels import SeveralLabels
from datamodules.tabular.splits import TableRows
from features.pipeline import Layout

_MOST_NAMES = 10


def constant_features(arrays: Mapping[str, Tensor], layout: Layout) -> list[str]:
    """A line on numbers and categories that tell training rows nothing.

    Args:
        arrays: Features of the training rows, see `Layout.arrays`.
        layout: Their layout.
    """
    lines: list[str] = []
    constant: list[str] = []
    empty: list[str] = []
    if "numbers" in arrays:
        numbers = arrays["numbers"]
        missing = numbers.isnan()
        low = numbers.masked_fill(missing, float("inf")).amin(dim=0)
        high = numbers.masked_fill(missing, -float("inf")).amax(dim=0)
        for name, no_value, same in zip(
            layout.numbers, missing.all(dim=0).tolist(), ((low == high) & ~missing.any(dim=0)).tolist(), strict=True
        ):
            if no_value:
                empty.append(name)
            elif same:
                constant.append(name)
    if "categories" in arrays:
        same = (arrays["categories"] == arrays["categories"][:1]).all(dim=0).tolist()
        constant += [column.name for column, one in zip(layout.categories, same, strict=True) if one]
    if constant:
        lines.append(f"features: {_listed(constant)} have one value in all training rows, and tell the model nothing")
    if empty:
        lines.append(f"features: {_listed(empty)} have no value in any training row, and tell the model nothing")
    return lines


def class_oddities(targets: np.ndarray, classes: Sequence[str], rows: TableRows) -> list[str]:
    """Lines on classes that a model can hardly learn.

    Args:
        targets: Class of each row, -1 where unknown; or numbers.
        classes: Names of the classes; none if the label is a number.
        rows: Rows of each split.
    """
    if not classes:
        return []
    train, val, test = (
        np.bincount(targets[part], minlength=len(classes)) for part in (rows.train, rows.val, rows.test)
    )
    lines = []
    for index in np.flatnonzero(train == 0).tolist():
        where = " and ".join(
            f"{count:,} in {name}" for name, count in (("val", val[index]), ("test", test[index])) if count
        )
        lines.append(f"label: class {classes[index]!r} has no training row{f', {where}' if where else ''}")
    lonely = [classes[index] for index in np.flatnonzero(train == 1).tolist()]
    if lonely:
        lines.append(f"label: {_listed(lonely)} {'has' if len(lonely) == 1 else 'have'} a single training row")
    for name, counts in (("validation", val), ("test", test)):
        missing = [classes[index] for index in np.flatnonzero((counts == 0) & (train > 0)).tolist()]
        if missing and counts.any():
            lines.append(f"label: {_listed(missing)} {'has' if len(missing) == 1 else 'have'} no {name} row")
    return lines


def oddities_of_several(labels: SeveralLabels, rows: TableRows) -> list[str]:
    """Lines on classes of several labels that a model can hardly learn; none on lists of labels.

    Args:
        labels: The labels of all rows.
        rows: Rows of each split.
    """
    if labels.from_lists:
        return []
    lines: list[str] = []
    for name, classes, values in zip(labels.names, labels.classes, labels.targets.T, strict=True):
        targets = np.nan_to_num(values, nan=-1).astype(np.int64) if classes else values
        known = TableRows(*(part[targets[part] >= 0] for part in (rows.train, rows.val, rows.test)))
        lines += [f"label {name!r}{line.removeprefix('label')}" for line in class_oddities(targets, classes, known)]
    return lines


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(map(repr, names[:_MOST_NAMES])) + more
