"""Columns of a panel of time series, as a manifest lists them for raw tables."""

from features.series.panel_spec import PanelSpec
from lightning_app.packaging.format.raw_input import RawColumn, RawInputSpec

_FILE = "panel.json"


def describe_panel(spec: PanelSpec) -> RawInputSpec:
    """The columns of a panel, for the manifest.

    Args:
        spec: The preparation.
    """
    columns = spec.columns
    zone = "" if spec.time_zone is None else ", with a time zone"
    time = RawColumn(columns.time_column, "timestamp", "time", f"{columns.time_format or 'ISO 8601'}{zone}")
    ids = [] if columns.id_column is None else [RawColumn(columns.id_column, "text", "series")]
    unit = "as in training, above zero" if spec.positive else "as in training"
    values = [RawColumn(name, "number", "target", unit) for name in columns.value_columns]
    apart = f", {spec.frequency} apart," if spec.frequency is not None else ""
    return RawInputSpec(
        kind="panel",
        file=_FILE,
        columns=(time, *ids, *values),
        min_rows=spec.warm_up + 1,
        rows_of=f"rows{apart} of each series up to the forecast; the last {spec.context + 1:,} are read",
    )
