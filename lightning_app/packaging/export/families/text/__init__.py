"""Exporters of models that read texts alone: language models, embedders, entities."""
