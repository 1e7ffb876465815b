"""AnswerForm: what a model answers, as far as outcomes can be compared with it: numbers, quantiles or classes."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

PREDICTION = "prediction."
OUTCOME = "outcome"
PROBABILITIES, LABEL = "probabilities", "label"
YES_NO = ("false", "true")


class OutputLike(Protocol):
    """An output of a signature; `TensorSpec` of a package is one."""

    @property
    def name(self) -> str:
        """Name of the output."""

    @property
    def dtype(self) -> str:
        """Type of its values."""

    @property
    def shape(self) -> tuple[int | str, ...]:
        """Axis sizes, rows first."""

    @property
    def unit(self) -> str | None:
        """Unit in words."""

    @property
    def levels(self) -> tuple[float, ...] | None:
        """Quantile levels along the last axis."""


class AnswerForm(Struct, frozen=True, kw_only=True):
    """What is answered.

    Attributes:
        kind: `number`: one or more numbers per row; `quantiles`: of them; `classes`: one class, or several, per row.
        name: Name of the output.
        labels: Names of the classes.
        levels: Quantile levels.
        binary: Whether the output is the probability of the second of two classes alone.
    """

    kind: Literal["number", "quantiles", "classes"]
    name: str
    labels: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()
    binary: bool = False

    @property
    def middle(self) -> int:
        """Place of the level that is nearest to the median: the point forecast."""
        return min(range(len(self.levels)), key=lambda place: abs(self.levels[place] - 0.5))


def answer_form(outputs: Sequence[OutputLike], labels: Sequence[str] | None) -> AnswerForm | None:
    """What a package answers.

    Args:
        outputs: Of its signature; the first one is compared with outcomes.
        labels: Names of the classes; None if it is no classifier.

    Returns:
        None if no outcome can be compared with the answer: sequences of any length, texts, solutions of puzzles,
        several labels that may hold at once, several heads (outputs `HEAD.NAME`).
    """
    if labels is not None:
        return AnswerForm(kind="classes", name=PROBABILITIES, labels=tuple(labels))
    output = outputs[0]
    if output.name == PROBABILITIES or "." in output.name:
        return None
    if not output.dtype.startswith("float") or any(isinstance(size, str) for size in output.shape[1:]):
        return None
    if output.unit == "probability" and len(output.shape) == 1:
        return AnswerForm(kind="classes", name=output.name, labels=YES_NO, binary=True)
    if output.levels:
        return AnswerForm(kind="quantiles", name=output.name, levels=tuple(output.levels))
    return AnswerForm(kind="number", name=output.name)
