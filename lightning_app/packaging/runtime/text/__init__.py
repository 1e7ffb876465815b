"""Texts in a package: the own tokenizer, token batches of several lengths."""
