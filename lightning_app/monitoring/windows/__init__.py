"""Answered rows of the journal, by windows."""
