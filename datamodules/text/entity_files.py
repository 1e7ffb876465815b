"""EntityFiles: the texts of each split with their entities, and the labels that they have."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from datamodules.tabular.splits import TableSplit
from datamodules.tabular.text_table import locate
from datamodules.text.annotated_text import AnnotatedFile, AnnotatedText
from datamodules.text.conll import read_conll
from datamodules.text.span_lines import read_span_lines
from features.text.tag_set import TagSet

SPLITS = ("train", "val", "test")
_JSON_LINES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class EntityFiles:
    """Reads files of texts when they are first asked for.

    Attributes:
        paths: File of `train`, `val`, `test` and `predict`; None for one that `split` cuts from `train`, and for no
            texts to predict.
        split: The split protocol; None with a file for each split.
        given_labels: Labels of entities; None for those of the training texts.
        column: Field of JSON lines with the text.
        root: Folder of raw files; None for `$LIGHTNING_APP_DATA`, else `./data`.

    Raises:
        ValueError: A split has neither a file nor a protocol, or both; or the labels are not different names.
    """

    paths: Mapping[str, str | Path | None]
    split: TableSplit | None
    given_labels: Sequence[str] | None
    column: str
    root: str | Path | None

    def __post_init__(self) -> None:
        missing = [name for name in ("val", "test") if self.paths[name] is None]
        if missing and self.split is None:
            raise ValueError(
                f"data.{missing[0]}: none given; give its file, or a split that cuts it from data.train, e.g. "
                "`split: {class_path: datamodules.tabular.RandomSplit, init_args: {train: 0.8, val: 0.1}}`"
            )
        if not missing and self.split is not None:
            raise ValueError("data.split: given beside the files of all splits; leave it out")
        if self.given_labels is not None:
            TagSet(self.given_labels)

    @cached_property
    def files(self) -> dict[str, AnnotatedFile]:
        """The files that were given, by split."""
        return {name: self._read(path, f"data.{name}") for name, path in self.paths.items() if path is not None}

    def _read(self, path: str | Path, key: str) -> AnnotatedFile:
        file = locate(path, root=self.root, key=key)
        if file.suffix in _JSON_LINES:
            read = read_span_lines(file, column=self.column, key=key)
        else:
            read = read_conll(file, key=key)
        if not read.texts:
            raise ValueError(f"{key}: {file} has no text")
        if not read.annotated and key != "data.predict":
            raise ValueError(f"{key}: {file} has texts without entities, which data.predict alone may have")
        return read

    @cached_property
    def texts(self) -> dict[str, list[AnnotatedText]]:
        """Texts of each split; those without a word do not train."""
        texts = {name: list(file.texts) for name, file in self.files.items()}
        if self.split is not None:
            texts |= self._parts(self.split, texts["train"])
        return {**texts, "train": [one for one in texts["train"] if one.text.strip()]}

    def _parts(self, split: TableSplit, texts: list[AnnotatedText]) -> dict[str, list[AnnotatedText]]:
        rows = split.split(pl.DataFrame({"row": range(len(texts)), self.column: [one.text for one in texts]}))
        parts = {name: [texts[row] for row in getattr(rows, name)] for name in SPLITS}
        for name in ("val", "test"):
            if self.paths[name] is not None and parts[name]:
                raise ValueError(
                    f"data.split: {split.describe()} cuts {len(parts[name]):,} texts for {name}, which has the "
                    f"file {self.paths[name]}; give a split without them"
                )
        return {name: part for name, part in parts.items() if self.paths[name] is None or name == "train"}

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels of entities."""
        counts = self.label_counts("train")
        if not counts:
            raise ValueError(f"data.train: {self.paths['train']} has no entity")
        if self.given_labels is None:
            return tuple(sorted(counts))
        for name in self.texts:
            for one in self.texts[name]:
                for entity in one.entities:
                    if entity.label not in self.given_labels:
                        path = self.files[name if name in self.files else "train"].path
                        raise ValueError(
                            f"data.labels: {path}, line {one.line}: an entity {entity.label!r}, labels are "
                            f"{', '.join(self.given_labels)}; add it, or change the file"
                        )
        return tuple(self.given_labels)

    def label_counts(self, split: str) -> Counter[str]:
        """Entities of a split by label.

        Args:
            split: `train`, `val` or `test`.
        """
        return Counter(entity.label for one in self.texts[split] for entity in one.entities)

    def describe_split(self) -> str:
        """The split protocol and the sizes of its parts, in words."""
        counts = {name: (len(self.texts[name]), sum(self.label_counts(name).values())) for name in SPLITS}
        sizes = ", ".join(
            f"{texts:,} texts with {entities:,} entities {name}" for name, (texts, entities) in counts.items()
        )
        return f"{'by files' if self.split is None else self.split.describe()}; {sizes}"

    @property
    def names(self) -> str:
        """Names of the files."""
        return ", ".join(dict.fromkeys(file.path.name for file in self.files.values()))

    def sha256(self) -> str:
        """sha256 of the texts and entities of all splits."""
        digest = hashlib.sha256()
        for name in SPLITS:
            for one in self.texts[name]:
                digest.update(repr((name, one.text, one.entities)).encode("utf-8", "backslashreplace"))
        return digest.hexdigest()
