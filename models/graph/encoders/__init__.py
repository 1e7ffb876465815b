"""Graph encoders: networks that give a vector per node."""
