"""Worker process: loads models and serves them."""
