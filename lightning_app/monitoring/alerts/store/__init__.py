"""Store of alerts: states, silences and messages, in tables of the journal's database."""
