"""Open Inference Protocol v2 over gRPC, from the same worker and along the same path as over HTTP."""
