"""Rules of alerts: what they select, when they hold, and what they say."""
