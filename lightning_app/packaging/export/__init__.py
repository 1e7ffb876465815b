"""From a checkpoint to a package. This is the one part of packaging that needs torch."""
