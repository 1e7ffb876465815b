"""Text sources: documents of text, already split into train, val and test."""

import pydoc_data.topics
from abc import ABC, abstractmethod
from pathlib import Path

from typing_extensions import override

from datamodules.sources import RawFile, fetch


class TextSource(ABC):
    """Source of documents, already split."""

    @abstractmethod
    def read(self, *, root: str | Path | None) -> dict[str, list[str]]:
        """Reads the documents of `train`, `val` and `test`."""

    @abstractmethod
    def protocol(self) -> str:
        """Describes the split in words."""

    def notes(self) -> list[str]:
        """Remarks on how the text was read, one line each; called after `read`."""
        return []


class TinyShakespeare(TextSource):
    """1.1 million characters of Shakespeare's plays (Karpathy, char-rnn, 2015), one document.

    The published split has two parts, 90 % and 10 %; the second is used for both validation and test.
    """

    raw_file = RawFile(
        path="tinyshakespeare/input.txt",
        url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    )

    @override
    def read(self, *, root: str | Path | None) -> dict[str, list[str]]:
        text = fetch(self.raw_file, root=root).read_text(encoding="utf-8")
        end = int(0.9 * len(text))
        return {"train": [text[:end]], "val": [text[end:]], "test": [text[end:]]}

    @override
    def protocol(self) -> str:
        return (
            "first 90 % of the characters train, last 10 % validation; the published split has no third part, "
            "so that test is the validation part again"
        )


class EnglishTopics(TextSource):
    """700,000 characters of English: Python's built-in help topics, each a document."""

    @override
    def read(self, *, root: str | Path | None) -> dict[str, list[str]]:
        names = sorted(pydoc_data.topics.topics)
        parts = {"train": range(8), "val": range(8, 9), "test": range(9, 10)}
        return {
            split: [pydoc_data.topics.topics[name] for index, name in enumerate(names) if index % 10 in residues]
            for split, residues in parts.items()
        }

    @override
    def protocol(self) -> str:
        return "of every ten topics in alphabetical order, eight train, one validation, one test"


class TextFiles(TextSource):
    """Plain text files in UTF-8, one per split; a byte order mark is ignored.

    Args:
        train: Path of the training text.
        val: Path of the validation text.
        test: Path of the test text; None tests on the validation text.
        separator: Text between documents, e.g. a blank line; None makes each file one document.
    """

    def __init__(
        self, *, train: str | Path, val: str | Path, test: str | Path | None = None, separator: str | None = None
    ) -> None:
        self.paths = {"train": train, "val": val, "test": test or val}
        self.separator = separator
        self._is_parted = True

    @override
    def read(self, *, root: str | Path | None) -> dict[str, list[str]]:
        documents, texts = {}, {}
        for split, name in self.paths.items():
            path = Path(name).expanduser()
            if not path.exists():
                raise FileNotFoundError(f"data.text.{split}: {path} does not exist")
            if not path.is_file():
                raise ValueError(f"data.text.{split}: {path} is a folder; give a file, and a separator of documents")
            text = texts[split] = _read_utf8(path, key=f"data.text.{split}")
            parts = text.split(self.separator) if self.separator else [text]
            documents[split] = [part for part in parts if part.strip()]
            if not documents[split]:
                raise ValueError(f"data.text.{split}: {path} is empty")
        self._is_parted = self.separator is None or any(self.separator in text for text in texts.values())
        return documents

    @override
    def protocol(self) -> str:
        same = self.paths["test"] == self.paths["val"]
        return "a file per split" + ("; test is the validation file again" if same else "")

    @override
    def notes(self) -> list[str]:
        if self._is_parted:
            return []
        return [f"the separator {self.separator!r} occurs in no file, so each file is one document"]


def _read_utf8(path: Path, *, key: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{key}: {path} is not UTF-8, byte {error.object[error.start]:#04x} in line {line}; save it as UTF-8"
        ) from error
