"""Commands over several runs or one trained model: compare, walk-forward, explain."""
