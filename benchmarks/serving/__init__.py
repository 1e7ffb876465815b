"""Serving: requests per second, latency, CPU and memory, beside LitServe and plain FastAPI."""
