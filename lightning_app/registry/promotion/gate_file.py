"""Gate file: YAML bounds that a version must meet to be promoted."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from lightning_app.config.shipped_configs import SHIPPED
from lightning_app.errors import UsageError

DEFAULT = SHIPPED / "gates" / "default.yaml"
"""Used without a gate file, and for keys that a gate file leaves out."""


@dataclass(frozen=True)
class MetricBound:
    """Bounds of one test metric.

    Attributes:
        min: Smallest allowed value, None for no bound.
        max: Largest allowed value, None for no bound.
    """

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class ChampionRule:
    """Not worse than the champion on the same test rows.

    Attributes:
        max_worse: Largest allowed upper end of the interval of (error / champion's error - 1).
        confidence: Confidence level of the interval.
        block: Test rows per block of the bootstrap; `auto` is twice the horizon of a forecast, else 1.
    """

    max_worse: float
    confidence: float
    block: int | Literal["auto"]


@dataclass(frozen=True)
class ParityRule:
    """Largest difference between the outputs of package and checkpoint.

    Attributes:
        max_relative_error: Bound, relative to the scale of the outputs.
        max_relative_error_optimized: Bound for a package that was quantized or pruned.
        min_rows: Fewest test rows on which the difference was measured.
    """

    max_relative_error: float
    max_relative_error_optimized: float
    min_rows: int


@dataclass(frozen=True)
class LatencyRule:
    """Slowest allowed answer.

    Attributes:
        max_p50_ms: Largest median time of a request of one row, in milliseconds.
    """

    max_p50_ms: float


@dataclass(frozen=True)
class SizeRule:
    """Largest allowed package.

    Attributes:
        max_megabytes: Sum of its files, in 10^6 bytes.
    """

    max_megabytes: float


@dataclass(frozen=True)
class CardRule:
    """Completeness of the model card.

    Attributes:
        complete: Whether all mandatory sections must be written.
    """

    complete: bool


@dataclass(frozen=True)
class SlicesRule:
    """Largest allowed error of a slice of the test rows.

    Attributes:
        max_ratio: Error of the slice / error of all rows.
        max_worse: Error of the slice / error of the champion on it - 1.
        min_rows: Smallest slice that is checked, in rows.
    """

    max_ratio: float
    max_worse: float
    min_rows: int


@dataclass(frozen=True)
class DataRule:
    """Data that a model may have been trained on.

    Attributes:
        known: `any` requires a fingerprint; a list of sha256 allows only these.
    """

    known: Literal["any"] | tuple[str, ...]


@dataclass(frozen=True)
class GateFile:
    """All gates of a file; None switches a gate off.

    Attributes:
        metrics: Bounds by metric name.
        champion: Comparison with the champion.
        parity: Package against checkpoint.
        latency: Time of an answer.
        size: Size of the package.
        card: Model card.
        slices: Slices of the test rows.
        data: Training data.
    """

    metrics: Mapping[str, MetricBound]
    champion: ChampionRule | None
    parity: ParityRule | None
    latency: LatencyRule | None
    size: SizeRule | None
    card: CardRule | None
    slices: SlicesRule | None
    data: DataRule | None

    @classmethod
    def read(cls, path: str | Path | None = None) -> "GateFile":
        """Reads a gate file; keys that it leaves out take their value from `configs/gates/default.yaml`.

        Args:
            path: Gate file; None reads `configs/gates/default.yaml`.

        Raises:
            UsageError: The file does not exist, or a key or value in it is invalid.
        """
        default = _read_sections(DEFAULT)
        for key in ("metrics", *_SECTIONS):
            if key not in default:
                raise UsageError(f"gates: {DEFAULT} has no section {key}, write `{key}: null` for no gate")
        content = default if path is None else _read_sections(path)
        sections = {
            key: _section(type_, content.get(key, default[key]), key, default=default[key])
            for key, type_ in _SECTIONS.items()
        }
        metrics = content.get("metrics", default["metrics"]) or {}
        if not isinstance(metrics, Mapping):
            raise UsageError(f"metrics: {metrics!r} given, bounds by name are needed, e.g. test/mse: {{max: 0.4}}")
        return cls(metrics={str(name): _metric(str(name), bound) for name, bound in metrics.items()}, **sections)


_SECTIONS: dict[str, type] = {
    "champion": ChampionRule,
    "parity": ParityRule,
    "latency": LatencyRule,
    "size": SizeRule,
    "card": CardRule,
    "slices": SlicesRule,
    "data": DataRule,
}


def _read_sections(path: str | Path) -> Mapping[str, Any]:
    """Sections of a file, values unchecked."""
    if not Path(path).is_file():
        raise UsageError(f"gates: {str(path)!r} does not exist")
    try:
        content = yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as error:
        raise UsageError(f"gates: {path} is no YAML: {' '.join(str(error).split())}") from error
    content = {} if content is None else content
    _check_keys(content, ("metrics", *_SECTIONS), "gates")
    return content


def _metric(name: str, bounds: Any) -> MetricBound:
    if bounds is not None:
        _check_keys(bounds, ("min", "max"), f"metrics.{name}")
    if not bounds:
        raise UsageError(f"metrics.{name}: {bounds!r} given, min, max or both are needed")
    return MetricBound(**{side: _value(bound, f"metrics.{name}.{side}") for side, bound in bounds.items()})


def _section(type_: type, section: Any, key: str, *, default: Any) -> Any:
    """A gate, with default values for missing keys; None if it is switched off."""
    if section is None:
        return None
    names = tuple(entry.name for entry in fields(type_))
    _check_keys(section, names, key)
    values = {**(default or {}), **section}
    for name in names:
        if name not in values:
            raise UsageError(f"{key}.{name}: missing, and {DEFAULT} has no value for it")
    return type_(**{name: _value(values[name], f"{key}.{name}") for name in names})


def _value(value: Any, name: str) -> Any:
    """Checks the value of a key."""
    if name == "champion.block":
        fits, needed = value == "auto" or (type(value) is int and value >= 1), "'auto' or a number of rows"
    elif name == "data.known":
        listed = isinstance(value, list) and all(isinstance(digest, str) for digest in value)
        value, fits, needed = tuple(value) if listed else value, value == "any" or listed, "'any' or a list of sha256"
    elif name == "card.complete":
        fits, needed = isinstance(value, bool), "true or false"
    else:
        fits, value, needed = _read_number(value, positive=not name.startswith("metrics."))
        if name == "champion.confidence":
            fits, needed = fits and 0 < value < 1, "a number between 0 and 1"
    if not fits:
        raise UsageError(f"{name}: {value!r} given, {needed} is needed")
    return value


def _read_number(value: Any, *, positive: bool) -> tuple[bool, Any, str]:
    """Returns whether a value is an allowed number, the number, and what is needed.

    YAML 1.1 reads 1e-4 as text, which is accepted as a number here.
    """
    needed = "a number from 0" if positive else "a number"
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        return False, value, needed
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        return False, value, needed
    return number >= 0 or not positive, number, needed


def _check_keys(value: Any, allowed: tuple[str, ...], key: str) -> None:
    if not isinstance(value, Mapping):
        raise UsageError(f"{key}: {value!r} given, the keys {', '.join(allowed)} are allowed")
    for name in value:
        if name not in allowed:
            raise UsageError(f"{key}.{name}: no such key, allowed: {', '.join(allowed)}")
