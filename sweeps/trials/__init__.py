"""Trials: the processes that fit them, forked from one server, and what they are started with and report."""
