"""ONNX export of graph networks."""
