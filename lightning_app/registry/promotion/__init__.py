"""Promotion of versions: gates, aliases, the journal of promotions, and rollback."""
