"""Continuous training: cycles that freeze data, train, compare with the champion, and promote or reject."""
