"""Sequential tests: valid however often they are looked at, and whenever one stops."""
