"""Runtime of packages: requests in, answers out, by ONNX Runtime; no torch."""
