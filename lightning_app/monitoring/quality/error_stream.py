"""ErrorStream: the errors of a version row by row, and the rises of their mean; its state is JSON."""

from typing import Literal

from msgspec import Struct, field

from lightning_app.drift.answers.flat import Array
from lightning_app.drift.streaming import GlrDetector
from lightning_app.monitoring.report.structs import ErrorChange

_ROWS_OF_SCALE = 128
"""First rows that say what a typical error is, where held-out rows do not."""
_SMALLEST = 1e-300


class Place(Struct, array_like=True):
    """A row at which a change can be placed.

    Attributes:
        rows: Rows before it, since the last change.
        time: Of its request, Unix seconds.
        total: Sum of the errors before it, since the last change.
    """

    rows: int
    time: float
    total: float


class ErrorStream(Struct, kw_only=True):
    """Errors of a version, with the detector of their rises: `msgspec.json` writes it and reads it back.

    Attributes:
        run_length: Rows between false alarms, on average.
        kind: What is answered.
        scale: Typical error of numbers; None takes the mean of the first rows.
        detector: None while the scale is not known.
        waiting: Times and errors of the rows until then.
        rows: Rows so far.
        begun: Those up to the last change.
        total: Sum of the errors since.
        places: Where a change can be placed.
        changes: Rises of the error.
    """

    run_length: int
    kind: Literal["classes", "numbers"]
    scale: float | None = None
    detector: GlrDetector | None = None
    waiting: list[tuple[float, float]] = field(default_factory=list)
    rows: int = 0
    begun: int = 0
    total: float = 0.0
    places: list[Place] = field(default_factory=list)
    changes: list[ErrorChange] = field(default_factory=list)

    def feed(self, times: Array, errors: Array, *, age: float) -> None:
        """Takes the next rows.

        Args:
            times: Of the requests, ascending, Unix seconds, (N,).
            errors: Their errors, (N,).
            age: Age at which outcomes are settled, seconds.
        """
        self.waiting += zip(times.tolist(), errors.tolist(), strict=True)
        if self.detector is None:
            if self.kind == "numbers" and self.scale is None:
                if len(self.waiting) < _ROWS_OF_SCALE:
                    return
                first = [error for _, error in self.waiting[:_ROWS_OF_SCALE]]
                self.scale = max(sum(first) / len(first), _SMALLEST)
            self.detector = GlrDetector(run_length=self.run_length, scale=self.scale)
        for time, error in self.waiting:
            self._take(self.detector, time, error, age)
        self.waiting = []
        possible = {self.detector.width - rows for rows in self.detector.candidates} | {self.detector.width}
        self.places = [place for place in self.places if place.rows in possible]

    def _take(self, detector: GlrDetector, time: float, error: float, age: float) -> None:
        if detector.open_rows == 0:
            self.places.append(Place(rows=self.rows - self.begun, time=time, total=self.total))
        self.rows += 1
        self.total += error
        if not detector.update(error):
            return
        width = self.rows - self.begun
        place = next(one for one in self.places if one.rows == width - detector.changed)
        self.changes.append(
            ErrorChange(
                time=place.time, row=self.begun + place.rows + 1, rows=detector.changed,
                before=place.total / place.rows, after=(self.total - place.total) / detector.changed,
                detected=time, known=time + age,
            )
        )  # fmt: skip
        self.begun, self.total, self.places = self.rows, 0.0, []
        detector.reset()
