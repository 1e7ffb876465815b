"""Continuation of a prompt by a language model in a package: tokens of the own tokenizer, and of a fast one."""
