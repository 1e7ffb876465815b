"""Evaluation of trajectory forecasts: rolling origins, quantiles, paths, scores and pictures; without torch."""
