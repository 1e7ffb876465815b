"""Metrics of outcomes, with what each row contributes, and confidence sequences from that."""
