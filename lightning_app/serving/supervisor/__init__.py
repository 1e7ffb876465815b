"""Supervisor: a light process that owns the socket, starts workers, restarts dead ones and watches the registry."""
