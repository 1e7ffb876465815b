"""Policies of bandits: from rewards to the probability with which each arm answers; pure functions of statistics."""
