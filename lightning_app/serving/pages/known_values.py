"""Known values of raw columns: what training has seen of texts and numbers, as examples and choices of a form."""

from dataclasses import dataclass
from typing import Any

from lightning_app.packaging import Package

MOST_CHOICES = 200


@dataclass(frozen=True)
class KnownValues:
    """What training has seen of a column.

    Attributes:
        example: One value.
        choices: Texts of a vocabulary, the most frequent first; others are read as unknown. Empty for numbers.
    """

    example: Any
    choices: tuple[str, ...] = ()


def known_values(package: Package) -> dict[str, KnownValues]:
    """Known values by column of the raw rows; columns of which nothing is known are left out.

    Args:
        package: A loaded package.
    """
    spec = package.manifest.raw_input
    if spec is None or spec.kind != "features":
        return {}
    pipeline: Any = getattr(package.predictor.raw_input, "pipeline", None)
    if pipeline is None or pipeline.fitted is None:
        return {}
    types = {column.name: column.type for column in spec.columns}
    known: dict[str, KnownValues] = {}
    for full, state in pipeline.fitted.states.items():
        view, _, name = full.partition(".")
        feature = pipeline.definitions.views[view].features.get(name)
        for place, column in enumerate(_columns(feature)):
            found = _known(state, types.get(column), place)
            if found is not None and (column not in known or len(found.choices) > len(known[column].choices)):
                known[column] = found
    return known


def _columns(feature: Any) -> list[str]:
    """Raw columns that a fitted feature reads, in their order."""
    columns = getattr(feature, "columns", None)
    if columns is not None:
        return list(columns)
    column = getattr(feature, "column", None)
    return [] if column is None else [column]


def _known(state: Any, kind: str | None, place: int) -> KnownValues | None:
    """What a fitted state tells of its column number `place`."""
    categories = getattr(state, "categories", None)
    if kind == "text" and categories:
        texts = [category[place] if isinstance(category, list) else category for category in categories]
        choices = tuple(dict.fromkeys(text for text in texts if text))[:MOST_CHOICES]
        return KnownValues(choices[0], choices) if choices else None
    if kind in ("number", "whole number"):
        edges = getattr(state, "edges", None)
        number = edges[len(edges) // 2] if edges else getattr(state, "center", getattr(state, "value", None))
        if isinstance(number, int | float) and not isinstance(number, bool):
            return KnownValues(round(number) if kind == "whole number" else float(f"{number:.4g}"))
    return None
