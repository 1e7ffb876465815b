"""Calendar features; moved to `features.series.calendar`, kept while an import contract names this module."""

from features.series.calendar import CalendarFeature, calendar_features, calendar_name, even_times, extend

__all__ = ["CalendarFeature", "calendar_features", "calendar_name", "even_times", "extend"]
