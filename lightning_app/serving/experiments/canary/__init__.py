"""Canary: a challenger takes over step by step, or is taken back."""
