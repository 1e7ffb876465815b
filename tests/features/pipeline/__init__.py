"""Tests of features.pipeline."""
