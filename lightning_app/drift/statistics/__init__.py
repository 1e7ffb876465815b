"""Statistics of drift: from counts to distances and p-values; knows numbers alone."""
