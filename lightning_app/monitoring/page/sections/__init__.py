"""Sections of the page, in the order in which an engineer on call reads them."""
