"""Verb `features`: commands over feature definitions; each sub-command is a module of its own."""
