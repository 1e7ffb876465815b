"""Registry storage: versions, files and journals in MLflow, and the local copy of them."""
