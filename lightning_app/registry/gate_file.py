"""What a version must pass before it is promoted, as a file."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from lightning_app.errors import UsageError


@dataclass(frozen=True)
class MetricBound:
    """Bounds of one test metric.

    Attributes:
        min: The least it may be, None for no bound.
        max: The most it may be, None for no bound.
    """

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class ChampionGate:
    """Not worse than the champion, on the same test rows.

    Attributes:
        max_worse: The upper end of the interval of (error / champion's error - 1) may be this much.
        confidence: Of the interval.
        block: Test rows per block of the bootstrap; `auto` is twice the horizon of a forecast, else 1.
    """

    max_worse: float = 0.02
    confidence: float = 0.95
    block: int | Literal["auto"] = "auto"


@dataclass(frozen=True)
class ParityGate:
    """How far package and checkpoint may be apart.

    Attributes:
        max_relative_error: Relative to the scale of the outputs.
        max_relative_error_optimized: The same of a package that was made smaller or faster.
        min_rows: Test rows that it was measured on.
    """

    max_relative_error: float = 1e-4
    max_relative_error_optimized: float = 0.05
    min_rows: int = 256


@dataclass(frozen=True)
class LatencyGate:
    """How long an answer may take.

    Attributes:
        max_p50_ms: Median of a request of one row, milliseconds.
    """

    max_p50_ms: float = 100.0


@dataclass(frozen=True)
class SizeGate:
    """How large a package may be.

    Attributes:
        max_megabytes: Sum of its files, in 10^6 bytes.
    """

    max_megabytes: float = 500.0


@dataclass(frozen=True)
class CardGate:
    """What the model card must be.

    Attributes:
        complete: No mandatory section is empty.
    """

    complete: bool = True


@dataclass(frozen=True)
class SlicesGate:
    """How much worse a part of the test rows may be.

    Attributes:
        max_ratio: Error of the part over that of all rows.
        max_worse: Error of the part over that of the champion there, minus 1.
        min_rows: Smaller parts are left out.
    """

    max_ratio: float = 10.0
    max_worse: float = 0.25
    min_rows: int = 100


@dataclass(frozen=True)
class DataGate:
    """What a model may have been trained on.

    Attributes:
        known: `any` wants a fingerprint; a list of sha256 allows these alone.
    """

    known: Literal["any"] | tuple[str, ...] = "any"


@dataclass(frozen=True)
class GateFile:
    """All gates; None where there is none.

    Attributes:
        metrics: Bounds by name of the metric.
        champion: Not worse than the champion.
        parity: Package against checkpoint.
        latency: Time of an answer.
        size: Bytes.
        card: Model card.
        slices: Parts of the test rows.
        data: Training data.
    """

    metrics: Mapping[str, MetricBound] = field(default_factory=dict)
    champion: ChampionGate | None = ChampionGate()
    parity: ParityGate | None = ParityGate()
    latency: LatencyGate | None = LatencyGate()
    size: SizeGate | None = SizeGate()
    card: CardGate | None = CardGate()
    slices: SlicesGate | None = SlicesGate()
    data: DataGate | None = DataGate()

    @classmethod
    def read(cls, path: str | Path) -> "GateFile":
        """Reads a YAML file; what it leaves out is as in `configs/gates/default.yaml`.

        Args:
            path: The file.

        Raises:
            UsageError: It is not there, or a key or value in it is wrong.
        """
        if not Path(path).is_file():
            raise UsageError(f"gates: {str(path)!r} does not exist")
        try:
            given = yaml.safe_load(Path(path).read_text())
        except yaml.YAMLError as error:
            raise UsageError(f"gates: {path} is no YAML: {' '.join(str(error).split())}") from error
        given = {} if given is None else given
        _check_keys(given, ("metrics", *_SECTIONS), "gates")
        sections = {key: _section(type_, given[key], key) for key, type_ in _SECTIONS.items() if key in given}
        metrics = given.get("metrics") or {}
        if not isinstance(metrics, Mapping):
            raise UsageError(f"metrics: {metrics!r} given, bounds by name are needed, e.g. test/mse: {{max: 0.4}}")
        return cls(metrics={str(name): _metric(str(name), bound) for name, bound in metrics.items()}, **sections)


_SECTIONS: dict[str, type] = {
    "champion": ChampionGate,
    "parity": ParityGate,
    "latency": LatencyGate,
    "size": SizeGate,
    "card": CardGate,
    "slices": SlicesGate,
    "data": DataGate,
}


def _metric(name: str, given: Any) -> MetricBound:
    bound = _section(MetricBound, given, f"metrics.{name}")
    if not isinstance(bound, MetricBound) or (bound.min is None and bound.max is None):
        raise UsageError(f"metrics.{name}: {given!r} given, min, max or both are needed")
    return bound


def _section(type_: type, given: Any, key: str) -> Any:
    if given is None:
        return None
    allowed = fields(type_)
    _check_keys(given, tuple(entry.name for entry in allowed), key)
    return type_(**{entry.name: _value(entry, given[entry.name], key) for entry in allowed if entry.name in given})


def _value(entry: Any, given: Any, key: str) -> Any:
    """A value of the kind that the default has."""
    name, default = f"{key}.{entry.name}", None if entry.default is MISSING else entry.default
    if name == "champion.block":
        fits, wanted = given == "auto" or (type(given) is int and given >= 1), "'auto' or a number of rows"
    elif name == "data.known":
        listed = isinstance(given, list) and all(isinstance(digest, str) for digest in given)
        given, fits, wanted = tuple(given) if listed else given, given == "any" or listed, "'any' or a list of sha256"
    elif isinstance(default, bool):
        fits, wanted = isinstance(given, bool), "true or false"
    else:
        fits, given, wanted = _read_number(given, positive=not key.startswith("metrics."))
        if name == "champion.confidence":
            fits, wanted = fits and 0 < given < 1, "a number between 0 and 1"
    if not fits:
        raise UsageError(f"{name}: {given!r} given, {wanted} is needed")
    return given


def _read_number(given: Any, *, positive: bool) -> tuple[bool, Any, str]:
    """Whether it is one, the number, and what is wanted. YAML 1.1 takes 1e-4 for text; what is meant is plain."""
    wanted = "a number from 0" if positive else "a number"
    try:
        number = float(given) if isinstance(given, str) else given
    except ValueError:
        return False, given, wanted
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        return False, given, wanted
    return number >= 0 or not positive, number, wanted


def _check_keys(given: Any, allowed: tuple[str, ...], key: str) -> None:
    if not isinstance(given, Mapping):
        raise UsageError(f"{key}: {given!r} given, the keys {', '.join(allowed)} are allowed")
    for name in given:
        if name not in allowed:
            raise UsageError(f"{key}.{name}: no such key, allowed: {', '.join(allowed)}")
