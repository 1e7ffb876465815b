"""Sources: tables and event logs read with their declared types, times in one clock, oddities counted."""

from features.sources.notes import Notes
from features.sources.read import AVAILABLE, ID, ROW, TIME, event_times, read_source

__all__ = ["AVAILABLE", "ID", "ROW", "TIME", "Notes", "event_times", "read_source"]
