"""TextBlockDataModule: documents of text as one stream of tokens, cut into blocks, for causal language models."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from datamodules.base import BaseDataModule, Split
from datamodules.streams.text_source import TextSource
from datamodules.text.table_texts import TableTexts
from features.text.pretrained import CONFIG, fast_tokenizer, pretrained_folder
from features.text.token_rows import FastTokenizer

_UNLIMITED = 2**30


@dataclass(frozen=True)
class TokenBlocks:
    """Dataset of blocks of a stream; neighbours share one token, so that each token is predicted once.

    Attributes:
        tokens: The stream, int64 (T,).
        counts: Tokens that are predicted, bool (T,).
        starts: First token of each block, int64 (N,).
        block_size: Tokens of a block; the last one may have fewer.
        pad_token_id: Fills the last block.
    """

    tokens: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    block_size: int
    pad_token_id: int

    def __len__(self) -> int:
        return len(self.starts)

    def __getitems__(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Gathers the batch of an array of indices of blocks."""
        places = self.starts[indices][:, None] + np.arange(self.block_size)
        there = places < len(self.tokens)
        there = there[:, : max(1, int(there.sum(axis=1).max()))]
        places = np.minimum(places[:, : there.shape[1]], len(self.tokens) - 1)
        counts = self.counts[places] & there
        counts[:, 0] = False  # predicted by the block before
        return {
            "row": torch.from_numpy(np.asarray(indices, dtype=np.int64)),
            "token_ids": torch.from_numpy(np.where(there, self.tokens[places], self.pad_token_id)),
            "attention_mask": torch.from_numpy(there.astype(np.int64)),
            "counts": torch.from_numpy(counts),
        }


class TextBlockDataModule(BaseDataModule):
    """Data for `CausalLanguageModel`: blocks of a fixed number of tokens, so that nothing is padded.

    The documents of a split follow each other, an end-of-text token before, between and behind them: the model is told
    of their borders, but attends across them. A batch has `token_ids` and `attention_mask` int64 (B, L), and `counts`
    bool (B, L), the tokens whose prediction counts; of documents with a prompt (`TableTexts.prompt`) those after it.

    Args:
        text: Source of the documents, e.g. `TextFiles`, `TableTexts`, `TinyShakespeare`.
        pretrained: Where the tokenizer comes from, see `features.text.pretrained_folder`; the model too.
        block_size: Tokens of a block.
        separator: End-of-text token; None for `eos_token_id` of the model's config.
        batch_size: Blocks per training batch and process.
        eval_batch_size: Maximum blocks per batch outside training; None for `batch_size`. Does not affect metrics.
        root: Folder of raw files; None for `$LIGHTNING_APP_DATA`, else `./data`.
        num_workers: Worker processes that gather batches.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments = ("pretrained",)
    sample_name = "blocks"

    def __init__(
        self,
        *,
        text: TextSource,
        pretrained: str,
        block_size: int = 256,
        separator: str | None = None,
        batch_size: int = 8,
        eval_batch_size: int | None = None,
        root: str | Path | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, pin_memory=pin_memory
        )
        if block_size < 2:
            raise ValueError(f"data.block_size: {block_size} given, at least 2 is needed")
        self.text = text
        self.pretrained = str(pretrained)
        self.block_size = block_size
        self.separator = separator
        self.root = root

    @cached_property
    def end_token_id(self) -> int:
        """Id of the end-of-text token."""
        tokenizer = fast_tokenizer(self.pretrained)
        if self.separator is not None:
            token = tokenizer.token_to_id(self.separator)
            if token is None:
                raise ValueError(f"data.separator: {self.separator!r} is no token of {self.pretrained}")
            return int(token)
        folder = pretrained_folder(self.pretrained, key="data.pretrained")
        token = json.loads((folder / CONFIG).read_text("utf-8")).get("eos_token_id")
        token = token[0] if isinstance(token, list) else token
        if token is None or tokenizer.id_to_token(token) is None:
            raise ValueError(f"data.separator: none given, and {CONFIG} of {self.pretrained} has no eos_token_id")
        return int(token)

    def _tokenizer(self, max_length: int) -> FastTokenizer:
        """The tokenizer; begins each text with the end-of-text token, unless it adds a token of its own."""
        from tokenizers.processors import Sequence as Processors
        from tokenizers.processors import TemplateProcessing

        tokenizer, end = fast_tokenizer(self.pretrained), self.end_token_id
        if not tokenizer.num_special_tokens_to_add(is_pair=False):
            name = tokenizer.id_to_token(end)
            template = TemplateProcessing(single=f"{name} $A", special_tokens=[(name, end)])
            before = tokenizer.post_processor
            tokenizer.post_processor = template if before is None else Processors([before, template])
        return FastTokenizer(tokenizer, max_length=max_length, pad_token_id=end)

    @cached_property
    def tokenizer(self) -> FastTokenizer:
        """The tokenizer of a package: it cuts texts to a block."""
        return self._tokenizer(self.block_size)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return self.tokenizer.vocab_size

    @cached_property
    def documents(self) -> dict[str, list[str]]:
        """Documents of each split."""
        return self.text.read(root=self.root)

    @cached_property
    def streams(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Tokens int64 (T,) of each split, and which of them are predicted, bool (T,)."""
        prompts = self.text.prompts(root=self.root) if isinstance(self.text, TableTexts) else {}
        return {name: self._stream(texts, prompts.get(name)) for name, texts in self.documents.items()}

    def _stream(self, texts: list[str], prompts: list[str] | None) -> tuple[np.ndarray, np.ndarray]:
        rows = self._tokenizer(_UNLIMITED).encode(texts, spans=prompts is not None)
        tokens, counts = rows.ids.astype(np.int64), np.ones(len(rows.ids), dtype=bool)
        if prompts is not None:
            assert rows.spans is not None
            behind = np.repeat([len(prompt) for prompt in prompts], rows.lengths)
            counts = rows.spans[:, 1] > behind
            counts[rows.starts[1:-1]] = True  # a document's first token ends the one before
        if len(tokens) and tokens[0] == self.end_token_id:
            return np.append(tokens, self.end_token_id), np.append(counts, True)
        ends = rows.starts[1:]
        return np.insert(tokens, ends, self.end_token_id), np.insert(counts, ends, True)

    @override
    def setup(self, stage: str) -> None:
        """Reads and tokenises the documents."""
        assert self.streams

    @override
    def dataset(self, split: Split) -> TokenBlocks:
        tokens, counts = self.streams["test" if split == "predict" else split]
        starts = np.arange(0, max(1, len(tokens) - 1), self.block_size - 1)
        if split == "train" and len(starts) > 1:
            starts = starts[: (len(tokens) - 1) // (self.block_size - 1)]  # whole blocks
        return TokenBlocks(tokens, counts, starts, self.block_size, self.end_token_id)

    @override
    def notes(self) -> list[str]:
        tokens = len(self.streams["train"][0])
        left = (tokens - 1) % (self.block_size - 1) if tokens > self.block_size else 0
        cut = [f"the last {left:,} of {tokens:,} training tokens fill no block: left out"] if left else []
        return [*self.text.notes(), *cut]

    @override
    def fingerprint(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for name in sorted(self.streams):
            for array in self.streams[name]:
                digest.update(array.tobytes())
        return {"source": type(self.text).__name__, "sha256": digest.hexdigest()}

    @override
    def protocol(self) -> dict[str, Any]:
        sizes = ", ".join(
            f"{len(self.streams[name][0]):,} {name} ({len(texts):,} documents)"
            for name, texts in self.documents.items()
        )
        return {
            "data": f"{type(self.text).__name__}: {sizes} tokens",
            "split": self.text.protocol(),
            "context": f"blocks of {self.block_size} tokens, each predicted from its own block alone",
            "selection": "on the validation split only",
        }
