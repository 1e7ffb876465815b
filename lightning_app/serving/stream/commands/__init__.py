"""Sub-commands of `stream`."""
