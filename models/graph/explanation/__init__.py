"""Explanations of node predictions."""
