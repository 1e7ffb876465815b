"""Package format: folder, manifest, signature and golden request; needs neither torch nor ONNX Runtime."""
