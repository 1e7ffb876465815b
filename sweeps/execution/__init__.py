"""Execution of sweeps: trials in processes of their own, and the coordinator that starts, prunes and retries them."""
