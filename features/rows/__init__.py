"""Row form: functions of a row's own columns, the same for a million rows and for one."""

from features.rows.expressions import row_expression
from features.rows.inputs import TIME_COLUMN, input_columns, input_name, required_features
from features.rows.texts import map_values, texts_of

__all__ = [
    "TIME_COLUMN",
    "input_columns",
    "input_name",
    "map_values",
    "required_features",
    "row_expression",
    "texts_of",
]
