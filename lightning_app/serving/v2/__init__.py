"""Open Inference Protocol v2 over HTTP: JSON and binary tensors, as Triton and KServe speak it."""
