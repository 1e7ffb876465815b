"""Texts: pretrained encoders fine-tuned to classify, to find entities, to embed."""

from collections.abc import Callable

from benchmarks.text import batches, classification, entities, retrieval

SECTIONS: dict[str, Callable[[], str]] = {
    **classification.SECTIONS,
    **entities.SECTIONS,
    **batches.SECTIONS,
    **retrieval.SECTIONS,
}
