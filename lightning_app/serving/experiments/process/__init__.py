"""Experiment process of a server: decides who answers which share, and says so to the supervisor."""
