"""Sampling: neighbourhoods and links of large graphs as batches."""
