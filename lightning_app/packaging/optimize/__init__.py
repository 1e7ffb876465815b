"""From a package to a smaller or faster one, which passes an accuracy gate and a latency gate or is not written."""
