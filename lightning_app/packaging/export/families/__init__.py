"""Exporters of the families of models that come with the project."""
