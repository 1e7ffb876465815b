"""Security of a server: API keys, limits of clients, TLS, headers."""
