"""Inference: loaded models, the arm that answers, batches."""
