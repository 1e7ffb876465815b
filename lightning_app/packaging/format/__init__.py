"""Format of a package: its folder, manifest, signature and golden request; needs neither torch nor ONNX Runtime."""
