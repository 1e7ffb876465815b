"""Fitted features: functions of a row whose constants are learned from training rows, and stored as data."""

from typing import Literal

from features.definitions.base import FeatureDefinition


class Scale(FeatureDefinition, frozen=True, kw_only=True, tag="scale"):
    """A number minus its centre, divided by its spread; a constant column is only centred.

    Attributes:
        column: The column.
        method: `standard`: mean and deviation; `minmax`: smallest value and range; `robust`: median and distance of
            quartiles.
    """

    column: str
    method: Literal["standard", "minmax", "robust"] = "standard"


class Impute(FeatureDefinition, frozen=True, kw_only=True, tag="impute"):
    """A number, or a statistic of the training rows where it is missing.

    Attributes:
        column: The column.
        by: The statistic.
    """

    column: str
    by: Literal["mean", "median", "min", "max", "most_frequent"] = "mean"


class QuantileBins(FeatureDefinition, frozen=True, kw_only=True, tag="quantile_bins"):
    """The number of the quantile bin that a value falls in, from 0; equal quantiles make one bin.

    Attributes:
        column: The column.
        bins: Number of bins.
    """

    column: str
    bins: int = 10


class Vocabulary(FeatureDefinition, frozen=True, kw_only=True, tag="vocabulary"):
    """A category as a number: 0 unknown, 1 missing, from 2 on by falling frequency in the training rows.

    Attributes:
        column: The column.
        max_size: Most categories that get a number of their own; None for all.
        min_count: Rarer ones are unknown.
    """

    column: str
    max_size: int | None = None
    min_count: int = 1


class Tfidf(FeatureDefinition, frozen=True, kw_only=True, tag="tfidf"):
    """A text as a vector of term frequency times inverse document frequency, of length 1.

    Attributes:
        column: Text column.
        max_terms: Most frequent terms that are kept; with `hashed`, number of buckets.
        hashed: Terms are hashed instead of kept by name.
    """

    column: str
    max_terms: int = 1000
    hashed: bool = False


class TargetEncoding(FeatureDefinition, frozen=True, kw_only=True, tag="target_encoding"):
    """The smoothed mean of the label among training rows of the same category.

    A training row never sees its own label: with `order: folds` it gets the mean of the other folds, with `order: time`
    that of earlier rows. All other rows get the mean of all training rows. The mean is smoothed:
    (sum + smoothing * mean of all) / (count + smoothing); an unknown category gets the mean of all.

    Attributes:
        columns: Category columns.
        label: A label of the definitions.
        order: How training rows are kept from their own labels.
        folds: Number of folds.
        smoothing: Weight of the mean of all, in rows.
        seed: Seed of the folds.
    """

    columns: tuple[str, ...]
    label: str
    order: Literal["folds", "time"] = "folds"
    folds: int = 5
    smoothing: float = 10.0
    seed: int = 0


FittedFeature = Scale | Impute | QuantileBins | Vocabulary | Tfidf | TargetEncoding
