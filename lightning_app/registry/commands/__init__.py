"""Commands of the registry: register, promote, rollback and models."""
