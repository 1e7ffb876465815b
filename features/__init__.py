"""Features: one definition that runs in batch, at a point in time, and online, event by event."""
