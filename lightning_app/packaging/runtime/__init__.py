"""Package runtime: requests in, answers out, through ONNX Runtime; without torch."""
