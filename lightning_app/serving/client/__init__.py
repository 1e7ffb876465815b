"""Client of a server; its public names are those of `lightning_app.serving`."""
