"""Verb `journal`: commands over the journal of a server; each sub-command is a module of its own."""
