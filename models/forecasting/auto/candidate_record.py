"""CandidateRecord, what became of a candidate: its cost, its error, and why it was cut short or left out."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["finished", "shortened", "cut short", "left out", "diverged", "skipped"]
"""`finished`: fitted as its section says. `shortened`: planned for fewer epochs or windows, as all of them would not
have fitted into its share of the budget. `cut short`: stopped in the middle of its plan, at its share. `left out`: it
does not fit the data. `diverged`: its error was not finite. `skipped`: no budget was left to start it."""


@dataclass(frozen=True)
class CandidateRecord:
    """What became of one candidate.

    Attributes:
        outcome: See `Outcome`.
        cpu_seconds: CPU time that its fit took, with all threads of the process.
        look_back: Rows that it sees; 0 if it was not made.
        num_fitted: Fitted values.
        epochs: Epochs that were trained, a part of one as a fraction.
        remark: Why it was left out or stopped, and what it ignores.
        val_mse: MSE of its best epoch on validation; None if it is not a member.
        chosen: Whether the forecast is, or contains, its forecast.
        weight: Of its forecast in the mean.
    """

    outcome: Outcome
    cpu_seconds: float = 0.0
    look_back: int = 0
    num_fitted: int = 0
    epochs: float = 0.0
    remark: str = ""
    val_mse: float | None = None
    chosen: bool = False
    weight: float = 0.0

    @property
    def is_member(self) -> bool:
        """Whether there is a fitted forecaster."""
        return self.outcome in ("finished", "shortened", "cut short")
