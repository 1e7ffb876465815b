"""Execution of sweeps: the coordinator that starts, prunes and retries trials, and what hosts agree on."""
