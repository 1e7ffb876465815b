"""Configuration of monitoring (`monitor.yaml`)."""
