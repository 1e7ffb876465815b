"""Gates: checks that a version must pass before it gets an alias."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lightning_app.registry.promotion.comparison import (
    Candidate,
    NotComparableError,
    compare_slices,
    error_ratio,
    shared_rows,
)
from lightning_app.registry.promotion.gate_file import (
    ChampionRule,
    DataRule,
    GateFile,
    LatencyRule,
    MetricBound,
    ParityRule,
    SizeRule,
    SlicesRule,
)


@dataclass(frozen=True)
class Verdict:
    """Result of one gate.

    Attributes:
        gate: Name of the gate.
        bound: What is allowed, in words.
        value: What was measured, in words.
        passed: Whether the version passes.
    """

    gate: str
    bound: str
    value: str
    passed: bool


def check_gates(gates: GateFile, candidate: Candidate, champion: Candidate | None, *, alias: str) -> list[Verdict]:
    """Checks a version against all gates.

    Args:
        gates: Bounds of the gates.
        candidate: Version to promote.
        champion: Current champion, None if there is none.
        alias: Alias that the version is to get; only `champion` is compared with the current champion.
    """
    if alias != "champion":
        champion = None
    verdicts = [_metric(name, bound, candidate) for name, bound in gates.metrics.items()]
    if gates.champion is not None and alias == "champion":
        verdicts.append(_champion(gates.champion, candidate, champion))
    if gates.parity is not None:
        verdicts.append(_parity(gates.parity, candidate))
    if gates.latency is not None:
        verdicts.append(_latency(gates.latency, candidate))
    if gates.size is not None:
        verdicts.append(_size(gates.size, candidate))
    if gates.card is not None and gates.card.complete:
        verdicts.append(_card(candidate))
    if gates.slices is not None:
        verdicts.append(_slices(gates.slices, candidate, champion))
    if gates.data is not None:
        verdicts.append(_data(gates.data, candidate))
    return verdicts


def _metric(name: str, bound: MetricBound, candidate: Candidate) -> Verdict:
    words = [] if bound.min is None else [f"at least {bound.min:g}"]
    words += [] if bound.max is None else [f"at most {bound.max:g}"]
    value = candidate.manifest.metrics["values"].get(name)
    if value is None:
        known = ", ".join(sorted(candidate.manifest.metrics["values"])) or "none"
        return Verdict(name, ", ".join(words), f"not measured; there are: {known}", False)
    low = bound.min is None or value >= bound.min
    return Verdict(name, ", ".join(words), f"{value:.6g}", low and (bound.max is None or value <= bound.max))


def _champion(gate: ChampionRule, candidate: Candidate, champion: Candidate | None) -> Verdict:
    bound = f"upper end at most {gate.max_worse:+.1%}"
    if champion is None:
        return Verdict("champion", bound, "there is none yet", True)
    try:
        shared = shared_rows(candidate, champion)
        ratio = error_ratio(candidate, champion, confidence=gate.confidence, block=gate.block, shared=shared)
    except NotComparableError as error:
        return Verdict("champion", bound, str(error), False)
    interval = f"{ratio.ratio - 1:+.1%} ({ratio.low - 1:+.1%} to {ratio.high - 1:+.1%}) against {champion.name}"
    if shared.data:
        interval = f"{interval} on {len(shared.table):,} rows of {shared.data}"
    return Verdict("champion", bound, interval, ratio.high - 1 <= gate.max_worse)


def _parity(gate: ParityRule, candidate: Candidate) -> Verdict:
    manifest = candidate.manifest
    most = gate.max_relative_error if manifest.optimization is None else gate.max_relative_error_optimized
    bound = f"at most {most:g} on {gate.min_rows:,} rows"
    error, rows = _number(manifest.parity, "max_relative_error"), _number(manifest.parity, "rows")
    if error is None or rows is None:
        return Verdict("parity", bound, "not measured", False)
    return Verdict("parity", bound, f"{error:.2g} on {rows:,.0f} rows", error <= most and rows >= gate.min_rows)


def _latency(gate: LatencyRule, candidate: Candidate) -> Verdict:
    bound = f"p50 at most {gate.max_p50_ms:g} ms"
    p50 = candidate.manifest.latency.get("p50_ms")
    value = _number(p50, "1") if isinstance(p50, Mapping) else None
    if value is None:
        return Verdict("latency", bound, "not measured", False)
    return Verdict("latency", bound, f"{value:.3g} ms", value <= gate.max_p50_ms)


def _size(gate: SizeRule, candidate: Candidate) -> Verdict:
    size = sum(entry.bytes for entry in (candidate.manifest.files or {}).values()) / 1e6
    return Verdict("size", f"at most {gate.max_megabytes:g} MB", f"{size:.3g} MB", size <= gate.max_megabytes)


def _card(candidate: Candidate) -> Verdict:
    missing = ", ".join(candidate.manifest.card.get("missing") or [])
    complete = candidate.manifest.card["complete"]
    return Verdict("card", "complete", "complete" if complete else f"empty: {missing or 'a section'}", complete)


def _slices(gate: SlicesRule, candidate: Candidate, champion: Candidate | None) -> Verdict:
    """Checks the worst slice against all rows, and against the champion on the same slice."""
    bound = f"at most {gate.max_ratio:g}x the whole"
    ratios = dict(_ratios_to_whole(candidate, gate.min_rows))
    if not ratios:
        return Verdict("slices", bound, f"none of {gate.min_rows:,} rows", True)
    worst = max(ratios, key=lambda name: ratios[name])
    words, passed = [f"{worst}: {ratios[worst]:.3g}x"], ratios[worst] <= gate.max_ratio
    if champion is not None:
        bound += f", {gate.max_worse:+.0%} to the champion"
        try:
            changes = compare_slices(candidate, champion, min_rows=gate.min_rows)
        except NotComparableError:
            changes = {}  # the verdict of the champion gate gives the reason
        if changes:
            name = max(changes, key=lambda name: changes[name])
            words.append(f"{name}: {changes[name] - 1:+.1%}")
            passed = passed and changes[name] - 1 <= gate.max_worse
    return Verdict("slices", bound, "; ".join(words), passed)


def _ratios_to_whole(candidate: Candidate, min_rows: int) -> Iterator[tuple[str, float]]:
    for name, parts in candidate.manifest.slices.items():
        rows = sum(part["rows"] for part in parts.values())
        whole = sum(part["rows"] * part["error"] for part in parts.values()) / rows if rows else 0.0
        for value, part in parts.items():
            if part["rows"] >= min_rows:
                yield f"{name} {value}", part["error"] / whole if whole > 0 else 1.0


def _data(gate: DataRule, candidate: Candidate) -> Verdict:
    lineage = candidate.manifest.lineage
    fingerprint = [lineage[key] for key in ("data", "evaluation_data") if lineage.get(key)]
    digests = sorted(set(_digests(fingerprint)))
    short = ", ".join(digest[:12] for digest in digests) or ("without sha256" if fingerprint else "none")
    if gate.known == "any":
        return Verdict("data", "fingerprint known", short, bool(fingerprint))
    return Verdict("data", "in the list", short, bool(digests) and set(digests) <= set(gate.known))


def _digests(value: Any) -> Iterator[str]:
    """All sha256 digests within a fingerprint."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _digests(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _digests(inner)
    elif isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef"):
        yield value


def _number(record: Mapping[str, Any], key: str) -> float | None:
    value = record.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
