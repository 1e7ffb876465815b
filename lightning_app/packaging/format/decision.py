"""Decision: which names a package answers from the probabilities of one of its outputs."""

from dataclasses import dataclass, fields
from typing import Any

from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.fields import exact_keys, is_number, need, texts_field

PROBABILITIES = "probabilities"
"""Name of the output whose last axis has one number per class or label; of several heads, the end of their names."""


@dataclass(frozen=True)
class Decision:
    """How probabilities become names.

    Attributes:
        output: Output with the probabilities: `probabilities`, or `HEAD.probabilities`.
        labels: Names along its last axis.
        several: Whether any number of labels may hold; else exactly one class does.
        thresholds: Probability above which a label is answered: one per label if several may hold, one of the second
            of two classes else; None answers the likeliest class.
        rule: How the thresholds were chosen, in words.
    """

    output: str
    labels: tuple[str, ...]
    several: bool = False
    thresholds: tuple[float, ...] | None = None
    rule: str | None = None

    @property
    def prefix(self) -> str:
        """What the names of its answers begin with: `HEAD.`, or nothing."""
        return self.output.removesuffix(PROBABILITIES)

    def describe(self) -> str:
        """What is answered, in words."""
        rule = f" ({self.rule})" if self.rule else ""
        if self.thresholds is None:
            return f"the likeliest of {', '.join(self.labels)}"
        if self.several:
            parts = zip(self.labels, self.thresholds, strict=True)
            return f"labels above {', '.join(f'{label} {threshold:.4g}' for label, threshold in parts)}{rule}"
        first, second = self.labels
        return f"{second} where its probability is above {self.thresholds[0]:.4g}, else {first}{rule}"

    def check(self, sizes: dict[str, tuple[int | str, ...]]) -> None:
        """Raises `PackageError` unless it fits the outputs.

        Args:
            sizes: Name of each output to its axes after the rows.
        """
        key = f"decisions.{self.output}"
        need(self.output.endswith(PROBABILITIES), f"{key}.output", f"a name that ends in {PROBABILITIES}", self.output)
        need(sizes.get(self.output) == (len(self.labels),), key, "an output with a number per label", self.output)
        fewest = 1 if self.several else 2
        different = len(set(self.labels)) == len(self.labels) >= fewest
        need(different, f"{key}.labels", f"{fewest} or more different", list(self.labels))
        if self.several and self.thresholds is None:
            raise PackageError(f"{key}.thresholds: none given, one per label is needed")
        if self.thresholds is not None:
            size = len(self.labels) if self.several else 1
            fits = len(self.thresholds) == size and (self.several or len(self.labels) == 2)
            needed = f"{size} probabilities" if self.several else "one probability, of the second of two classes"
            within = all(0 <= threshold <= 1 for threshold in self.thresholds)
            need(fits and within, f"{key}.thresholds", needed, list(self.thresholds))


def read_decision(content: Any, key: str) -> Decision:
    """Checks a decision of the manifest.

    Args:
        content: The decision as JSON.
        key: Key of the field, for messages.
    """
    exact_keys(content, tuple(field.name for field in fields(Decision)), key)
    need(isinstance(content["output"], str), f"{key}.output", "text", content["output"])
    need(isinstance(content["several"], bool), f"{key}.several", "true or false", content["several"])
    need(isinstance(content["rule"], str | None), f"{key}.rule", "text", content["rule"])
    thresholds = content["thresholds"]
    if thresholds is not None:
        need(
            isinstance(thresholds, list) and all(map(is_number, thresholds)), f"{key}.thresholds", "numbers", thresholds
        )
        thresholds = tuple(float(threshold) for threshold in thresholds)
    labels = texts_field(content["labels"], f"{key}.labels")
    need(labels is not None, f"{key}.labels", "a list of texts", labels)
    assert labels is not None
    return Decision(
        output=content["output"], labels=labels, several=content["several"], thresholds=thresholds, rule=content["rule"]
    )
