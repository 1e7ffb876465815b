"""Splits of nodes, links and sets of graphs into train, validation and test."""
