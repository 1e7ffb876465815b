"""Explanations of the predictions for a node."""
