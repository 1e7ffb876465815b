"""Journal in SQLite: one file that several worker processes write."""
