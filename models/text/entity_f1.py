"""EntityF1, EntityPrecision and EntityRecall: exact-match metrics of tag sequences, as conlleval and seqeval count."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from features.text.tag_set import ParsedTag, TagSet, entity_spans, parse_tag

IGNORED = -100
"""Target of words that do not count."""
_UNKNOWN = "a label that the tags do not have"


class EntityMetric(Metric):
    """Counts entities whose first word, last word and label are right; exact over batches and processes.

    By default an entity begins as conlleval reads tags (Tjong Kim Sang & Buchholz, CoNLL 2000; IOB2): at `B`, at `S`,
    and at an `I` or `E` that does not go on with the label before it. With `strict` an entity needs every tag that its
    scheme asks for: `B` and then `I` in IOB2; `S`, or `B`, `I` and at last `E` in IOBES; others are none.

    Args:
        tags: All tags by index: `O`, and `B-`, `I-`, `E-` or `S-` before a label.
        label: Counts this label alone; None counts all.
        strict: See above; the scheme is IOBES if `tags` has an `E` or an `S`.
        ignore_index: Target of words that do not count; what is predicted for them is left out of the sequence.

    Raises:
        ValueError: A tag has none of these forms, or no tag has the label.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    counts: Tensor

    def __init__(
        self, *, tags: Sequence[str], label: str | None = None, strict: bool = False, ignore_index: int = IGNORED
    ) -> None:
        super().__init__()
        self.tags = tuple(tags)
        try:
            self._parsed = [parse_tag(tag) for tag in self.tags]
        except ValueError as error:
            raise ValueError(f"tags: {error}") from error
        labels = dict.fromkeys(name for prefix, name in self._parsed if prefix != "O")
        if label is not None and label not in labels:
            raise ValueError(f"label: {label!r} given, the tags have {', '.join(labels)}")
        self._numbers = {name: number for number, name in enumerate(labels)}
        self._label = None if label is None else self._numbers[label]
        self._has_ends = any(prefix in ("E", "S") for prefix, _ in self._parsed)
        self.strict = strict
        self.ignore_index = ignore_index
        # Columns: right, predicted, and true entities of each label.
        self.add_state("counts", default=torch.zeros(len(labels), 3, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Adds sequences of tags.

        Args:
            predictions: Indices of `tags`, int64 (B, W).
            targets: The same, and `ignore_index`, int64 (B, W).
        """
        added = torch.zeros(self.counts.shape, dtype=torch.int64)
        for predicted, true in zip(predictions.tolist(), targets.tolist(), strict=True):
            kept = [index for index, tag in enumerate(true) if tag != self.ignore_index]
            ours = set(self._entities([predicted[index] for index in kept]))
            theirs = set(self._entities([true[index] for index in kept]))
            for column, entities in enumerate((ours & theirs, ours, theirs)):
                for _, _, label in entities:
                    added[self._numbers[label], column] += 1
        self.counts += added.to(self.counts.device)

    def _entities(self, tags: Sequence[int]) -> Iterator[tuple[int, int, str]]:
        parsed = [self._parsed[tag] for tag in tags]
        return self._strict_entities(parsed) if self.strict else entity_spans(parsed)

    def _strict_entities(self, tags: Sequence[ParsedTag]) -> Iterator[tuple[int, int, str]]:
        first: int | None = None
        ends = self._has_ends
        for position, ((prefix, label), following) in enumerate(
            zip(tags, [*tags[1:], ParsedTag("O", "")], strict=True)
        ):
            if prefix == "B":
                first = position
            elif prefix in ("O", "S") or (first is not None and tags[first].label != label):
                first = None
            if ends and prefix == "S":
                yield position, position + 1, label
            last = prefix == "E" if ends else prefix in ("B", "I") and following != ("I", label)
            if first is not None and last:
                yield first, position + 1, label
                first = None

    def _sums(self) -> tuple[Tensor, Tensor, Tensor]:
        """Right, predicted and true entities, float64 scalars."""
        counts = self.counts.double()
        right, predicted, true = counts.sum(dim=0) if self._label is None else counts[self._label]
        return right, predicted, true

    @override
    def compute(self) -> Tensor:
        """The metric; 0 where it is undefined.

        Raises:
            NotImplementedError: The class only counts.
        """
        raise NotImplementedError(
            f"{type(self).__name__} counts entities and defines no value; use EntityF1, EntityPrecision or "
            "EntityRecall, or define compute()"
        )


class EntityF1(EntityMetric):
    """Micro-averaged F1 of entities; see `EntityMetric`."""

    @override
    def compute(self) -> Tensor:
        """Harmonic mean of precision and recall; 0 without entities."""
        right, predicted, true = self._sums()
        return _ratio(2 * right, predicted + true)


class EntityPrecision(EntityMetric):
    """Share of predicted entities that are right; see `EntityMetric`."""

    @override
    def compute(self) -> Tensor:
        """Precision; 0 where nothing is predicted."""
        right, predicted, _ = self._sums()
        return _ratio(right, predicted)


class EntityRecall(EntityMetric):
    """Share of true entities that are found; see `EntityMetric`."""

    @override
    def compute(self) -> Tensor:
        """Recall; 0 where there are none."""
        right, _, true = self._sums()
        return _ratio(right, true)


def entity_metrics(tag_set: TagSet) -> dict[str, Metric]:
    """Metrics by name: `f1`, `precision`, `recall`, and `f1_LABEL` of each label.

    A target of the index after the last tag is an entity of a label that the tags do not have: never found.

    Args:
        tag_set: Tags by index.
    """
    tags = (*tag_set.tags, f"B-{_UNKNOWN}")
    return {
        "f1": EntityF1(tags=tags),
        "precision": EntityPrecision(tags=tags),
        "recall": EntityRecall(tags=tags),
        **{f"f1_{label}": EntityF1(tags=tags, label=label) for label in tag_set.labels},
    }


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole, torch.zeros_like(whole)).float()
