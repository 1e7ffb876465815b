"""Statistics of experiments: distributions, effects, tests and plans, of numbers alone."""
