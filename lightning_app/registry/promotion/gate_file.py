"""Gate file: the bounds that a version must keep to be promoted."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from lightning_app.config.shipped_configs import SHIPPED
from lightning_app.errors import UsageError

DEFAULT = SHIPPED / "gates" / "default.yaml"
"""What holds without a file, and for what a file leaves out."""


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

    max_worse: float
    confidence: float
    block: int | Literal["auto"]


@dataclass(frozen=True)
class ParityGate:
    """How far package and checkpoint may be apart.

    Attributes:
        max_relative_error: Relative to the scale of the outputs.
        max_relative_error_optimized: The same of a package that was made smaller or faster.
        min_rows: Test rows that it was measured on.
    """

    max_relative_error: float
    max_relative_error_optimized: float
    min_rows: int


@dataclass(frozen=True)
class LatencyGate:
    """How long an answer may take.

    Attributes:
        max_p50_ms: Median of a request of one row, milliseconds.
    """

    max_p50_ms: float


@dataclass(frozen=True)
class SizeGate:
    """How large a package may be.

    Attributes:
        max_megabytes: Sum of its files, in 10^6 bytes.
    """

    max_megabytes: float


@dataclass(frozen=True)
class CardGate:
    """What the model card must be.

    Attributes:
        complete: No mandatory section is empty.
    """

    complete: bool


@dataclass(frozen=True)
class SlicesGate:
    """How much worse a part of the test rows may be.

    Attributes:
        max_ratio: Error of the part over that of all rows.
        max_worse: Error of the part over that of the champion there, minus 1.
        min_rows: Smaller parts are left out.
    """

    max_ratio: float
    max_worse: float
    min_rows: int


@dataclass(frozen=True)
class DataGate:
    """What a model may have been trained on.

    Attributes:
        known: `any` wants a fingerprint; a list of sha256 allows these alone.
    """

    known: Literal["any"] | tuple[str, ...]


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

    metrics: Mapping[str, MetricBound]
    champion: ChampionGate | None
    parity: ParityGate | None
    latency: LatencyGate | None
    size: SizeGate | None
    card: CardGate | None
    slices: SlicesGate | None
    data: DataGate | None

    @classmethod
    def read(cls, path: str | Path | None = None) -> "GateFile":
        """Reads a YAML file; what it leaves out is as in `configs/gates/default.yaml`.

        Args:
            path: The file; None reads `configs/gates/default.yaml` itself.

        Raises:
            UsageError: It is not there, or a key or value in it is wrong.
        """
        default = _read_sections(DEFAULT)
        for key in ("metrics", *_SECTIONS):
            if key not in default:
                raise UsageError(f"gates: {DEFAULT} has no section {key}, write `{key}: null` for no gate")
        given = default if path is None else _read_sections(path)
        sections = {
            key: _section(type_, given.get(key, default[key]), key, default=default[key])
            for key, type_ in _SECTIONS.items()
        }
        metrics = given.get("metrics", default["metrics"]) or {}
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


def _read_sections(path: str | Path) -> Mapping[str, Any]:
    """What a file says by section, values not checked yet."""
    if not Path(path).is_file():
        raise UsageError(f"gates: {str(path)!r} does not exist")
    try:
        given = yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as error:
        raise UsageError(f"gates: {path} is no YAML: {' '.join(str(error).split())}") from error
    given = {} if given is None else given
    _check_keys(given, ("metrics", *_SECTIONS), "gates")
    return given


def _metric(name: str, given: Any) -> MetricBound:
    if given is not None:
        _check_keys(given, ("min", "max"), f"metrics.{name}")
    if not given:
        raise UsageError(f"metrics.{name}: {given!r} given, min, max or both are needed")
    return MetricBound(**{side: _value(bound, f"metrics.{name}.{side}") for side, bound in given.items()})


def _section(type_: type, given: Any, key: str, *, default: Any) -> Any:
    """A gate, with the values of the default file for keys that are left out; None where it is switched off."""
    if given is None:
        return None
    names = tuple(entry.name for entry in fields(type_))
    _check_keys(given, names, key)
    values = {**(default or {}), **given}
    for name in names:
        if name not in values:
            raise UsageError(f"{key}.{name}: missing, and {DEFAULT} has no value for it")
    return type_(**{name: _value(values[name], f"{key}.{name}") for name in names})


def _value(given: Any, name: str) -> Any:
    """A checked value of a key."""
    if name == "champion.block":
        fits, wanted = given == "auto" or (type(given) is int and given >= 1), "'auto' or a number of rows"
    elif name == "data.known":
        listed = isinstance(given, list) and all(isinstance(digest, str) for digest in given)
        given, fits, wanted = tuple(given) if listed else given, given == "any" or listed, "'any' or a list of sha256"
    elif name == "card.complete":
        fits, wanted = isinstance(given, bool), "true or false"
    else:
        fits, given, wanted = _read_number(given, positive=not name.startswith("metrics."))
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
