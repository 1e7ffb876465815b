"""Journal in PostgreSQL, which the workers of several machines write."""
