"""Pages of the server: status with a form for each model, documentation, and the OpenAPI document."""
