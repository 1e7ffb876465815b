"""Monitoring as a process: beside a server, or beside any journal."""
