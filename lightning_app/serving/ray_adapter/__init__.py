"""Ray Serve: the application of a worker as a deployment; see `deployment`."""
