"""Monitored rows of a package: its held-out rows as a journal would hold them, and the reference made of them."""
