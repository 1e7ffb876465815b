"""Commands of continuous training: `lightning-app retrain ...`."""
