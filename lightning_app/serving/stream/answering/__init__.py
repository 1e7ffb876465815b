"""Answering: from events to answers and rows of the journal."""
