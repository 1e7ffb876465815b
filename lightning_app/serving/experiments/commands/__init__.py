"""Verb `experiment`: commands over the experiments of a journal; each sub-command is a module of its own."""
