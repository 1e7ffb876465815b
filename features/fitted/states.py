"""States of fitted features: learned constants as plain data."""

import msgspec


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    pass


class ScaleState(_State, frozen=True, kw_only=True, tag="scale"):
    """Centre and spread; a spread of 1 if all values were equal."""

    center: float
    spread: float


class ImputeState(_State, frozen=True, kw_only=True, tag="impute"):
    """The statistic that missing values are replaced with."""

    value: int | float | str | bool


class BinsState(_State, frozen=True, kw_only=True, tag="quantile_bins"):
    """Inner edges, ascending; value v is in the bin whose number is the number of edges <= v."""

    edges: list[float]


class VocabularyState(_State, frozen=True, kw_only=True, tag="vocabulary"):
    """Texts of categories; the first is number 2."""

    categories: list[str]


class TfidfState(_State, frozen=True, kw_only=True, tag="tfidf"):
    """Terms (none if hashed) and inverse document frequencies of the vector's places."""

    terms: list[str]
    idf: list[float]


class TargetState(_State, frozen=True, kw_only=True, tag="target_encoding"):
    """Label sums and counts of categories, and of all training rows.

    A category is a list of texts, one per column; None for a null.
    """

    categories: list[list[str | None]]
    sums: list[float]
    counts: list[int]
    total: float
    count: int


State = ScaleState | ImputeState | BinsState | VocabularyState | TfidfState | TargetState
