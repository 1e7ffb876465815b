"""Evaluation of trajectories: rolling origins, quantiles, paths, scores and their pictures; needs no torch."""
