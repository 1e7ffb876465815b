"""Serving: packages and registered models behind HTTP, with a journal of every answer."""
