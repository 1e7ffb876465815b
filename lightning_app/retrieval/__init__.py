"""Retrieval: embeds a table of texts with a package, and finds the texts nearest to a question."""

from lightning_app.retrieval.build_index import BuiltIndex, add_to_index, build_index
from lightning_app.retrieval.index import Index, Neighbor
from lightning_app.retrieval.index_folder import IndexManifest
from lightning_app.retrieval.index_table import IndexTable
from lightning_app.retrieval.text_embedding import TextEmbedding

__all__ = [
    "BuiltIndex",
    "Index",
    "IndexManifest",
    "IndexTable",
    "Neighbor",
    "TextEmbedding",
    "add_to_index",
    "build_index",
]
