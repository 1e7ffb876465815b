"""Pretrained text models: where their files come from, and their tokenizers."""

from features.text.pretrained import fast_tokenizer, pretrained_folder

__all__ = ["fast_tokenizer", "pretrained_folder"]
