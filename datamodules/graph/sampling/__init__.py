"""Sampling of neighbourhoods and links of large graphs."""
