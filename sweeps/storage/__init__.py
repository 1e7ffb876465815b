"""Storage of sweeps: the sweep file, the study, and the claims on its trials."""
