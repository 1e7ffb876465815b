"""Graphs: tables of nodes and edges become arrays, in training and in packages alike."""
