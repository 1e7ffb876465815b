"""EntityDataModule: texts with entities, from CoNLL files or JSON lines, for `TokenClassifier`."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from torch import Tensor
from typing_extensions import override

from datamodules.base import Split
from datamodules.tabular.splits import TableSplit
from datamodules.text.annotated_text import AnnotatedText
from datamodules.text.entity_files import SPLITS, EntityFiles
from datamodules.text.entity_texts import EntityTexts, Tagged, tagged
from datamodules.text.length_batches import LengthBatches
from features.text import fast_tokenizer
from features.text.found_entities import ENTITIES, found_entities
from features.text.tag_set import TagSet
from features.text.word_tokens import WordTokenizer, WordTokens


class EntityDataModule(LengthBatches):
    """Data for `TokenClassifier`: texts, and their entities as spans of characters.

    Files that end in `.jsonl`, `.ndjson` or `.json` hold JSON lines, see `read_span_lines`; others CoNLL columns, see
    `read_conll`, whose words are joined by blanks. A text is split into words as the tokenizer does before it looks up
    sub-words, in training as in a package, which knows nothing but the text. The first sub-word of a word carries its
    tag. A text of more than `max_length` tokens is read in overlapping windows: each word is tagged in the one where it
    is farthest from a cut, so that all words train, and all entities count.

    Args:
        train: File of the training texts, or of all of them with a `split`.
        pretrained: Where the tokenizer comes from, see `features.text.pretrained_folder`; the encoder's too.
        val: File of the validation texts; None takes those that `split` cuts from `train`.
        test: File of the test texts; None takes those that `split` cuts from `train`.
        predict: File of the texts that `predict` answers; None for those of the test.
        split: The split protocol, with `val` or `test` left out.
        labels: Labels of entities, in this order; None for those of the training texts. Others are refused if they are
            given; a label that only validation or test has counts as never found, and is noted.
        column: Field of JSON lines with the text, and its name in the requests of a package.
        max_length: Most tokens of a window.
        max_tokens: Most tokens of a batch and process, padding included, in batches of texts of similar length, see
            `LengthBatches`; None for batches of `batch_size` texts.
        batch_size: Texts per batch and process; with `max_tokens`, most of them.
        eval_batch_size: Maximum texts per batch outside training; None for `batch_size`. Does not affect metrics.
        root: Folder of raw files; None for `$LIGHTNING_APP_DATA`, else `./data`.
        num_workers: Worker processes that gather batches.
        pin_memory: Copy batches to page-locked memory.
    """

    model_arguments = ("pretrained", "labels")
    sample_name = "texts"
    prediction_order = "row"

    def __init__(
        self,
        *,
        train: str | Path,
        pretrained: str,
        val: str | Path | None = None,
        test: str | Path | None = None,
        predict: str | Path | None = None,
        split: TableSplit | None = None,
        labels: Sequence[str] | None = None,
        column: str = "text",
        max_length: int = 128,
        max_tokens: int | None = None,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        root: str | Path | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__(
            batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, pin_memory=pin_memory
        )
        self.pretrained = pretrained
        self.column = column
        self.files = EntityFiles(
            paths={"train": train, "val": val, "test": test, "predict": predict},
            split=split,
            given_labels=labels,
            column=column,
            root=root,
        )
        self.set_budget(max_tokens, max_length=max_length)

    @cached_property
    def word_tokenizer(self) -> WordTokenizer:
        """Splits texts into words and sub-words."""
        tokenizer = fast_tokenizer(self.pretrained, key="data.pretrained")
        try:
            return WordTokenizer(tokenizer, max_length=self.max_length)
        except ValueError as error:
            raise ValueError(f"data.{error}") from error

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return self.word_tokenizer.vocab_size

    @property
    def texts(self) -> dict[str, list[AnnotatedText]]:
        """Texts of each split; those without a word do not train."""
        return self.files.texts

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of entities."""
        return self.files.labels

    @cached_property
    def tag_set(self) -> TagSet:
        """Tags of the labels."""
        return TagSet(self.labels)

    @cached_property
    def _words(self) -> dict[str, list[WordTokens]]:
        return {}

    def words(self, split: str) -> list[WordTokens]:
        """Words of the texts of a split.

        Args:
            split: `train`, `val`, `test` or `predict`.
        """
        if split not in self._words:
            self._words[split] = list(self.word_tokenizer.words([one.text for one in self.texts[split]]))
        return self._words[split]

    @cached_property
    def _tagged(self) -> dict[str, list[Tagged]]:
        return {}

    def tagged(self, split: str) -> list[Tagged]:
        """Tags of the words of a split.

        Args:
            split: `train`, `val` or `test`.
        """
        if split not in self._tagged:
            self._tagged[split] = [
                tagged(words, one.entities, self.tag_set)
                for words, one in zip(self.words(split), self.texts[split], strict=True)
            ]
        return self._tagged[split]

    @override
    def setup(self, stage: str) -> None:
        """Reads the files of a stage; checks that its splits have texts."""
        super().setup(stage)
        for split in {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ()):
            if not len(self.dataset(split)):  # type: ignore[arg-type]
                raise ValueError(f"data: no text for {split}")

    @override
    def dataset(self, split: Split) -> EntityTexts:
        if split == "predict":
            name = "predict" if "predict" in self.texts else "test"
            return EntityTexts(self.texts[name], self.words(name), None, self.word_tokenizer.pad_token_id)
        return EntityTexts(self.texts[split], self.words(split), self.tagged(split), self.word_tokenizer.pad_token_id)

    @override
    def num_samples(self, batch: Any) -> int:
        return len(batch["row"])

    @override
    def prediction_table(self, outputs: dict[str, Tensor]) -> pl.DataFrame:
        """A row per text: its number `row`, the text, and `entities` with start, end, text, label and score."""
        dataset = self.dataset("predict")
        rows = outputs["row"].tolist()
        entities = []
        for row, tags, scores in zip(rows, outputs["tags"].numpy(), outputs["scores"].numpy(), strict=True):
            entities.append(
                found_entities(dataset.texts[row].text, dataset.words[row].offsets, tags, scores, self.tag_set)
            )
        texts = [dataset.texts[row].text for row in rows]
        return pl.DataFrame(
            {"row": rows, self.column: texts, "entities": entities}, schema_overrides={"entities": ENTITIES}
        )

    @override
    def notes(self) -> list[str]:
        lines = [
            f"{name}: {count:,} {what}" for name, file in self.files.files.items() for what, count in file.notes.items()
        ]
        known = [name for name in (*SPLITS, "predict") if name in self._words]
        for name in known:
            words = self.words(name)
            counts = {
                f"texts read in several windows of {self.max_length} tokens": sum(
                    len(one.windows) > 1 for one in words
                ),
                "words longer than a window, read by their first sub-words": sum(one.num_cut for one in words),
                "texts without a word": sum(not len(one) for one in words),
            }
            lines += [f"{name}: {count:,} {what}" for what, count in counts.items() if count]
        for name in known:
            if name in SPLITS:
                lines += self._notes_on_entities(name)
        return lines

    def _notes_on_entities(self, split: str) -> list[str]:
        lines = []
        if widened := sum(one.num_widened for one in self.tagged(split)):
            lines.append(
                f"{split}: {widened:,} entities begin or end inside a word: tagged, and answered, as whole words"
            )
        unknown = {label: count for label, count in self.files.label_counts(split).items() if label not in self.labels}
        for label, count in unknown.items():
            lines.append(f"{split}: {count:,} entities {label!r}, a label that training lacks: counted as not found")
        if missed := sum(len(one.missed) for one in self.tagged(split)) - sum(unknown.values()):
            counted = "not trained" if split == "train" else "counted as not found"
            lines.append(f"{split}: {missed:,} entities without a word of their own: {counted}")
        if split != "train":
            trained = {one.text for one in self.texts["train"]}
            if same := sum(one.text in trained for one in self.texts[split]):
                lines.append(f"{split}: {same:,} texts are training texts too")
        return lines

    @override
    def fingerprint(self) -> dict[str, Any]:
        return {
            "source": self.files.names,
            "rows": sum(len(self.texts[name]) for name in SPLITS),
            "sha256": self.files.sha256(),
        }

    @override
    def protocol(self) -> dict[str, Any]:
        return {
            "data": self.files.names,
            "labels": ", ".join(self.labels),
            "split": self.files.describe_split(),
            "match": "an entity is right if its first word, its last word and its label are",
            "selection": "on the validation split only",
        }
