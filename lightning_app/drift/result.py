"""DriftResult: how far a window has moved from the reference, by column and over all columns together."""

from typing import Literal

from msgspec import Struct

Role = Literal["input", "prediction", "outcome"]
Kind = Literal["number", "category", "text", "list", "vector", "time"]
Finding = Literal["distribution", "missing", "unknown", "vanished", "new", "type"]


class ColumnDrift(Struct, frozen=True, kw_only=True):
    """One monitored column of a window beside the reference.

    Attributes:
        column: Name, as the export of a journal has it; a part of a list column is `NAME.mean`, `NAME.length`, ...
        role: Whether the model reads it, answers it, or learns it later.
        kind: What its values are.
        rows: Rows of the window.
        missing: Share of missing values in the window.
        missing_reference: Share of missing values in the reference.
        unknown: Share of categories that the reference does not have; None for numbers.
        psi: Population stability index; None if there are too few rows.
        psi_expected: What undrifted windows of this size exceed in 5 of 100 cases.
        js: Jensen-Shannon distance, base 2.
        js_expected: As `psi_expected`.
        ks: Kolmogorov-Smirnov statistic; None for categories.
        ks_expected: As `psi_expected`.
        wasserstein: Wasserstein distance in standard deviations of the reference; None for categories.
        wasserstein_expected: As `psi_expected`.
        mean: Mean of the window's numbers; None for categories.
        mean_reference: Mean of the reference's numbers.
        sd: Standard deviation of the window's numbers.
        sd_reference: Standard deviation of the reference's numbers.
        design_effect: Variance of the window's mean rank over that of independent rows; 1 if rows are independent.
        p_value: Of the test for any change of the column, before correction; None if there are too few rows.
        adjusted_p: The same, corrected for all tests of the report.
        drifted: Whether the change is more than chance, after correction.
        finding: Why it drifted: which of its tests, or what needs none; None if it did not.
        importance: Share of the model's skill that rests on the column; None if unknown.
        note: What a reader of the numbers has to know, e.g. that the column has vanished.
        labels: Names of the bins or categories of the counts.
        edges: Ends of the bins of numbers, one more than bins, for pictures; what lies beyond is in the outermost bins.
        reference_counts: Rows of the reference in each.
        current_counts: Rows of the window in each.
    """

    column: str
    role: Role
    kind: Kind
    rows: int
    missing: float = 0.0
    missing_reference: float = 0.0
    unknown: float | None = None
    psi: float | None = None
    psi_expected: float | None = None
    js: float | None = None
    js_expected: float | None = None
    ks: float | None = None
    ks_expected: float | None = None
    wasserstein: float | None = None
    wasserstein_expected: float | None = None
    mean: float | None = None
    mean_reference: float | None = None
    sd: float | None = None
    sd_reference: float | None = None
    design_effect: float | None = None
    p_value: float | None = None
    adjusted_p: float | None = None
    drifted: bool = False
    finding: Finding | None = None
    importance: float | None = None
    note: str | None = None
    labels: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    reference_counts: tuple[float, ...] = ()
    current_counts: tuple[float, ...] = ()


class MultivariateDrift(Struct, frozen=True, kw_only=True):
    """A test over several columns, or over the vectors of one.

    Attributes:
        name: `domain_classifier`, `mmd`, or `embedding:COLUMN`.
        statistic: Held-out AUC of the classifier, or squared discrepancy.
        p_value: By permutation, before correction; None if there are too few rows.
        adjusted_p: The same, corrected for all tests of the report.
        drifted: Whether it is more than chance, after correction.
        rows: Rows of the window that were compared.
        columns: Columns that the classifier relies on most.
        note: What a reader has to know.
    """

    name: str
    statistic: float | None
    p_value: float | None
    rows: int
    adjusted_p: float | None = None
    drifted: bool = False
    columns: tuple[str, ...] = ()
    note: str | None = None


class DriftResult(Struct, frozen=True, kw_only=True):
    """Drift of a window.

    Attributes:
        rows: Rows of the window.
        rows_reference: Rows of the reference.
        columns: Each monitored column; those that drifted most come first.
        multivariate: Tests over several columns.
        alpha: Share of undrifted windows in which something is called drifted, at most.
        drifted: Whether anything drifted.
        rows_needed: Rows that the tests need; None if there were enough.
        notes: What was left out, and why.
    """

    rows: int
    rows_reference: int
    columns: tuple[ColumnDrift, ...]
    multivariate: tuple[MultivariateDrift, ...] = ()
    alpha: float
    drifted: bool
    rows_needed: int | None = None
    notes: tuple[str, ...] = ()


class DriftSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How drift is judged.

    Attributes:
        alpha: Share of undrifted windows in which something may be called drifted.
        minimum_rows: Rows below which nothing is judged; None takes what the tests need.
        minimum_psi: Smaller changes of a column are not called drifted, however certain they are.
        multivariate: Whether to test all columns together.
        ignore: Columns that are not monitored.
        seed: Of the resampling.
    """

    alpha: float = 0.05
    minimum_rows: int | None = None
    minimum_psi: float = 0.0
    multivariate: bool = True
    ignore: tuple[str, ...] = ()
    seed: int = 0
