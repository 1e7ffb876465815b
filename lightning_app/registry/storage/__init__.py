"""Storage of the registry: versions in MLflow, artifacts, and the local copy of both."""
