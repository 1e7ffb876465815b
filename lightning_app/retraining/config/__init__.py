"""Configuration of continuous training (`retrain.yaml`)."""
