"""Contract files: YAML and JSON, read strictly."""
