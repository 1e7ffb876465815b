"""Graph encoders: networks that compute a vector per node."""
