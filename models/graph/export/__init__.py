"""Graph networks as ONNX files."""
