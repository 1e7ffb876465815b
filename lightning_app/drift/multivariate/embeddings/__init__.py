"""Embeddings: texts, vectors, sequences and graphs as a row of numbers each, the same on every machine."""
