"""Reporting of sweeps: reports, pictures, tables, best.yaml and W&B."""
