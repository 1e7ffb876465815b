"""Journal: every answered prediction, committed before its answer is sent, and its outcome."""
