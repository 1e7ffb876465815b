"""Verb `data`: commands over tables; each sub-command is a module of its own."""
