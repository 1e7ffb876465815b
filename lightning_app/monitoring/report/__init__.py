"""Report of a monitored model: its parts, and their values as named samples."""
