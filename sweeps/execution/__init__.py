"""Execution of sweeps: trials in separate processes, and the coordinator that starts, prunes and retries them."""
