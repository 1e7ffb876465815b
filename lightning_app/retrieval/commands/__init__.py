"""Sub-commands of `lightning-app index`."""
