"""TextStreamDataModule: text as streams of tokens."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from torch import Tensor
from typing_extensions import override

from datamodules.base import Split
from datamodules.streams import StreamDataModule
from datamodules.streams.lanes import Arrangement, Chunk
from datamodules.streams.text_source import TextSource

UNKNOWN, END_OF_LINE = "<unk>", "<eos>"


class TokenStream:
    """Documents of tokens, each step with the next token as target.

    Args:
        documents: Token indices of each document, int64.

    Attributes:
        tokens: All documents concatenated, and one more token as padding.
        starts: First token of each document, including those too short for a target.
        documents: First and end token with a target, of the other documents.
    """

    def __init__(self, documents: Sequence[np.ndarray]) -> None:
        self.tokens = torch.from_numpy(np.concatenate([*documents, np.zeros(1, dtype=np.int64)]))
        ends = np.cumsum([len(document) for document in documents])
        self.starts = np.concatenate([[0], ends[:-1]])
        spans = np.stack([self.starts, ends - 1], axis=1)  # the last token has no target
        self.documents = spans[spans[:, 1] > spans[:, 0]]

    def __getitems__(self, chunk: Chunk) -> dict[str, Tensor]:
        rows = torch.from_numpy(chunk.rows)
        return {
            "tokens": self.tokens[rows],
            "targets": self.tokens[rows + 1],
            "row": rows,
            "valid": torch.from_numpy(chunk.read & chunk.newest),
            "reset": torch.from_numpy(chunk.reset),
        }


class TextStreamDataModule(StreamDataModule):
    """Streams of characters or words with the next token as target at each step.

    Batches: `tokens`, `targets` and `row` int64 (B, L), `valid` and `reset` bool (B, L), see `StreamDataModule`. The
    vocabulary is that of the training text; index 0 is the unknown token. Words are separated by whitespace, and each
    line ends with `<eos>`, as in the language-model version of the Penn Treebank.

    Args:
        text: Source of the text.
        level: Tokens are characters (`char`) or words (`word`).
        max_vocab_size: Keep only the most frequent tokens, the unknown one included; None keeps all.
        batch_size: Lanes per process in training.
        chunk_size: New steps per batch, k1 of truncated backpropagation.
        window: Steps that gradients flow back, k2; None for `chunk_size`.
        arrangement: `packed` or `aligned`, see `StreamDataModule`.
        shuffle: Rearrange the training documents in each epoch.
        eval_batch_size: Lanes outside training; None for `batch_size`.
        root: Folder of raw files; None for `$LIGHTNING_APP_DATA`, else `./data`.
        num_workers: Worker processes that gather batches.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments = (*StreamDataModule.model_arguments, "vocab_size")
    sample_name = "tokens"

    def __init__(
        self,
        *,
        text: TextSource,
        level: Literal["char", "word"] = "char",
        max_vocab_size: int | None = None,
        batch_size: int = 32,
        chunk_size: int = 64,
        window: int | None = None,
        arrangement: Arrangement = "packed",
        shuffle: bool = False,
        eval_batch_size: int | None = None,
        root: str | Path | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            chunk_size=chunk_size,
            window=window,
            arrangement=arrangement,
            shuffle=shuffle,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            pin_memory=pin_memory,
        )
        if max_vocab_size is not None and max_vocab_size < 2:
            raise ValueError(f"data.max_vocab_size: {max_vocab_size} given, at least 2 is needed")
        self.text = text
        self.level = level
        self.max_vocab_size = max_vocab_size
        self.root = root
        self._vocabulary: tuple[str, ...] | None = None
        self._streams: dict[str, TokenStream] = {}
        self._unknown: dict[str, Counter[str]] = {}

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Token of each index; built on first access."""
        self._read()
        assert self._vocabulary is not None
        return self._vocabulary

    @property
    def vocab_size(self) -> int:
        """Number of tokens, the unknown one included, V."""
        return len(self.vocabulary)

    @override
    def prepare_data(self) -> None:
        self.text.read(root=self.root)

    @override
    def setup(self, stage: str) -> None:
        self._read()

    @override
    def dataset(self, split: Split) -> TokenStream:  # type: ignore[override]
        self._read()
        return self._streams["test" if split == "predict" else split]

    def positions(self, rows: np.ndarray, *, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Document index within the split, and position within the document, of tokens; both from 0.

        Args:
            rows: Indices of the tokens in the split, int64 (N,).
            split: The split.
        """
        starts = self.dataset(split).starts
        document = np.searchsorted(starts, rows, side="right") - 1
        return document, rows - starts[document]

    def encode(self, prompt: str) -> Tensor:
        """Tokenises a prompt for `RecurrentLanguageModel.generate`.

        Args:
            prompt: Text; its last line is continued unless it ends with a line break.

        Returns:
            int64 (1, L). Tokens outside the vocabulary are 0, with a warning that names them.

        Raises:
            ValueError: The prompt is empty.
        """
        tokens = list(self._split(prompt))
        if self.level == "word" and tokens and not prompt.endswith("\n"):
            tokens.pop()  # <eos> of the unfinished line
        if not tokens:
            raise ValueError(f"prompt: {prompt!r} given, at least one {self.level} is needed to go on from")
        index = {token: number for number, token in enumerate(self.vocabulary)}
        unknown = sorted({token for token in tokens if token not in index})
        if unknown:
            shown = ", ".join(map(repr, unknown[:10]))
            warnings.warn(f"prompt: the model knows no {shown}; read as {UNKNOWN}", stacklevel=2)
        return torch.tensor([[index.get(token, 0) for token in tokens]])

    def decode(self, tokens: Tensor) -> str:
        """Text of tokens; words are joined by blanks, and `<eos>` ends a line.

        Args:
            tokens: int (L,).
        """
        texts = [self.vocabulary[int(token)] for token in tokens]
        if self.level == "char":
            return "".join(texts)
        return " ".join(texts).replace(f"{END_OF_LINE} ", "\n").replace(END_OF_LINE, "\n").replace(" \n", "\n")

    @override
    def prediction_table(self, outputs: dict[str, Tensor]) -> pl.DataFrame:
        """A row per predicted token: `document`, `position` in it, and the model's outputs with tokens as text."""
        vocabulary = pl.Series(self.vocabulary)
        table = super().prediction_table(outputs)
        document, position = self.positions(table["row"].to_numpy(), split="predict")
        location = pl.DataFrame({"document": document, "position": position + 1})
        texts = table.drop("row").with_columns(
            vocabulary.gather(table[name]).alias(name) for name in table.columns if name.endswith("token")
        )
        return pl.concat([location, texts], how="horizontal")

    @override
    def fingerprint(self) -> dict[str, Any]:
        digest = hashlib.sha256("\0".join(self.vocabulary).encode())
        for stream in self._streams.values():
            digest.update(stream.tokens.numpy().tobytes())
        return {
            "source": type(self.text).__name__,
            "level": self.level,
            "tokens": {split: len(stream.tokens) - 1 for split, stream in self._streams.items()},
            "vocab_size": self.vocab_size,
            "sha256": digest.hexdigest(),
        }

    @override
    def notes(self) -> list[str]:
        notes = self.text.notes()
        for split, unknown in self._unknown.items():
            if unknown:
                shown = ", ".join(repr(token[:20]) for token, _ in unknown.most_common(5))
                total = len(self._streams[split].tokens) - 1
                notes.append(
                    f"{split}: {unknown.total():,} of {total:,} {self.level}s are not in the vocabulary and are read "
                    f"as {UNKNOWN}: {shown}{', ...' if len(unknown) > 5 else ''}"
                )
        return notes

    @override
    def protocol(self) -> dict[str, Any]:
        stream = self.dataset("test")
        return {
            "data": f"{type(self.text).__name__}, {self.level} level, vocabulary of {self.vocab_size:,}",
            "split": self.text.protocol(),
            "test": f"{len(stream.tokens) - 1:,} tokens in {len(stream.documents):,} documents on "
            f"{self.eval_batch_size} lanes with carried state, chunks of {self.chunk_size}; each token counts once, "
            "but for the first of a document",
            "loss": "mean negative log-likelihood per token, in nats",
        }

    def _read(self) -> None:
        if self._streams:
            return
        tokens = {split: [self._split(text) for text in texts] for split, texts in self._texts().items()}
        counts = Counter(token for document in tokens["train"] for token in document)
        counts.pop(UNKNOWN, None)
        kept = counts.most_common(self.max_vocab_size - 1 if self.max_vocab_size else None)
        self._vocabulary = (UNKNOWN, *sorted(token for token, _ in kept))
        index = {token: number for number, token in enumerate(self._vocabulary)}
        for split, documents in tokens.items():
            self._unknown[split] = Counter(token for document in documents for token in document if token not in index)
        self._streams = {
            split: TokenStream([np.array([index.get(token, 0) for token in document]) for document in documents])
            for split, documents in tokens.items()
        }

    def _texts(self) -> dict[str, list[str]]:
        texts = self.text.read(root=self.root)
        for split, documents in texts.items():
            if not any(len(self._split(document)) > 1 for document in documents):
                raise ValueError(f"data.text: the {split} text holds no two {self.level}s in a row")
        return texts

    def _split(self, text: str) -> Sequence[str]:
        if self.level == "char":
            return text
        return [token for line in text.splitlines() for token in (*line.split(), END_OF_LINE)]
