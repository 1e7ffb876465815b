"""Shadow: answers of a shadow model beside those that were given, from the journal."""

from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from lightning_app.errors import nearest
from lightning_app.serving.experiments.analysis.guardrails import BOUNDS_MS, classed, latency_quantiles
from lightning_app.serving.journal.export.decode import JSON, UndecodedError, decode_answer
from lightning_app.serving.journal.stores.database import JournalDatabase

_AT_ONCE = 5_000
_SAMPLE = 20_000
"""Differences of a column that are kept for quantiles and pictures."""
_TOLERANCE = 0.01
"""Numbers agree within this share of the larger one, as on the page of a server."""
PREFIX = "shadow:"


class ShadowModel(Struct, frozen=True, kw_only=True):
    """A model that answered as a shadow.

    Attributes:
        id: `shadow:MODEL@VERSION`, or with the begin of the digest for folders of packages.
        model: Name of the model that it was the shadow of.
        version: Its version in the registry; None for a folder.
        digest: Its digest.
        requests: Requests that it was asked.
        errors: Those it failed at.
        first: Time of the first one, Unix seconds.
        last: Time of the last one.
    """

    id: str
    model: str
    version: int | None
    digest: str
    requests: int
    errors: int
    first: float
    last: float


class ColumnComparison(Struct, frozen=True, kw_only=True):
    """One column of the answers.

    Attributes:
        rows: Rows that both answers have.
        agreement: Share of them that agree: equal texts, and numbers within 1 %.
        mean_difference: Mean of shadow minus answer; None for columns that are no numbers.
        quantiles: 5 %, 50 % and 95 % quantile of the differences.
    """

    rows: int
    agreement: float
    mean_difference: float | None
    quantiles: dict[str, float]


class ShadowComparison(Struct, frozen=True, kw_only=True):
    """Comparison of a shadow with the answers that were given.

    Attributes:
        shadow: The shadow.
        compared: Requests whose answers were compared.
        unmatched: Requests whose answer the journal does not have (not sampled, or pruned).
        unreadable: Requests whose answers cannot be taken apart, have different rows, or no column in common.
        agreement: Share of the compared requests whose answers agree in all rows and columns that both have.
        columns: By column of the answers.
        latencies_ms: Quantiles of the latency, `answer` and `shadow`.
        differences: Sample of the differences by column, for the picture.
    """

    shadow: ShadowModel
    compared: int
    unmatched: int
    unreadable: int
    agreement: float | None
    columns: dict[str, ColumnComparison]
    latencies_ms: dict[str, dict[str, float]]
    differences: dict[str, list[float]]


def shadow_models(database: JournalDatabase) -> list[ShadowModel]:
    """All models that answered as shadows, oldest first.

    Args:
        database: Database of the journal.
    """
    statement = (
        "SELECT model, version, digest, count(*), count(error), min(time), max(time) "
        f"FROM {database.table('shadows')} GROUP BY model, version, digest ORDER BY 6"
    )
    return [
        ShadowModel(
            id=f"{PREFIX}{model}@{version if version is not None else digest[:12]}", model=model, version=version,
            digest=digest, requests=requests, errors=errors, first=first, last=last,
        )
        for part in database.stream(statement)
        for model, version, digest, requests, errors, first, last in part
    ]  # fmt: skip


def find_shadow(shadows: list[ShadowModel], name: str) -> ShadowModel:
    """A shadow by its id; the newest one of a model by `shadow:MODEL`.

    Args:
        shadows: All shadows.
        name: The id.

    Raises:
        ValueError: There is none.
    """
    for shadow in reversed(shadows):
        if name in (shadow.id, f"{PREFIX}{shadow.model}"):
            return shadow
    ids = [shadow.id for shadow in shadows]
    known = ", ".join(ids) if ids else "none"
    raise ValueError(f"experiment: {name!r} is no shadow{nearest(name, ids)}; shadows in this journal: {known}")


def compare_shadow(database: JournalDatabase, shadow: ShadowModel) -> ShadowComparison:
    """Compares the answers of a shadow with those that were given.

    Args:
        database: Database of the journal.
        shadow: The shadow.
    """
    comparison = _Comparison()
    statement = (
        "SELECT s.error, s.latency_ms, s.answer_type, s.answer, p.latency_ms, p.answer_type, p.answer "
        f"FROM {database.table('shadows')} AS s LEFT JOIN {database.answered} AS p ON p.request_id = s.request_id "
        "WHERE s.model = ? AND s.digest = ? ORDER BY s.number"
    )
    for part in database.stream(statement, (shadow.model, shadow.digest), at_once=_AT_ONCE):
        for error, latency, kind, answer, given_latency, given_kind, given in part:
            if given is None:
                comparison.unmatched += 1
                continue
            comparison.latencies["answer"].append(given_latency)
            if error is None:
                comparison.latencies["shadow"].append(latency)
                comparison.add(_columns(answer, kind), _columns(given, given_kind))
        comparison.class_latencies()
    return comparison.result(shadow)


class _Comparison:
    """Sums over requests."""

    def __init__(self) -> None:
        self.unmatched = self.unreadable = self.compared = self.same = 0
        self.latencies: dict[str, list[float]] = {"answer": [], "shadow": []}
        self._classes = {name: np.zeros(len(BOUNDS_MS) + 1) for name in self.latencies}
        self._rows: dict[str, list[int]] = {}
        self._sums: dict[str, list[float]] = {}
        self._samples: dict[str, list[float]] = {}
        self._random = np.random.default_rng(0)

    def add(self, shadow: dict[str, list[Any]] | None, given: dict[str, list[Any]] | None) -> None:
        names = [name for name in shadow or {} if name in (given or {})]
        if shadow is None or given is None or not names or any(len(shadow[n]) != len(given[n]) for n in names):
            self.unreadable += 1
            return
        self.compared += 1
        same = True
        for name in names:
            for own, other in zip(shadow[name], given[name], strict=True):
                same &= self._compare(name, own, other)
        self.same += same

    def _compare(self, name: str, own: Any, other: Any) -> bool:
        numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in (own, other)]
        is_same = bool(own == other)
        if all(numbers):
            difference = float(own) - float(other)
            is_same = abs(difference) <= _TOLERANCE * max(abs(own), abs(other))
            total = self._sums.setdefault(name, [0.0, 0.0])
            total[0] += difference
            total[1] += 1
            self._keep(name, difference, int(total[1]))
        counts = self._rows.setdefault(name, [0, 0])
        counts[0] += 1
        counts[1] += is_same
        return is_same

    def _keep(self, name: str, difference: float, count: int) -> None:
        """Keeps a uniform sample of the differences."""
        sample = self._samples.setdefault(name, [])
        if len(sample) < _SAMPLE:
            sample.append(difference)
        elif (place := int(self._random.integers(count))) < _SAMPLE:
            sample[place] = difference

    def class_latencies(self) -> None:
        for name, values in self.latencies.items():
            self._classes[name] += classed(np.array(values, np.float64))
            values.clear()

    def result(self, shadow: ShadowModel) -> ShadowComparison:
        columns = {}
        for name, (rows, same) in self._rows.items():
            total = self._sums.get(name)
            quantiles = {}
            if name in self._samples:
                found = np.quantile(self._samples[name], [0.05, 0.5, 0.95])
                quantiles = dict(zip(("p5", "p50", "p95"), map(float, found), strict=True))
            columns[name] = ColumnComparison(
                rows=rows, agreement=same / rows, mean_difference=total[0] / total[1] if total else None,
                quantiles=quantiles,
            )  # fmt: skip
        return ShadowComparison(
            shadow=shadow, compared=self.compared, unmatched=self.unmatched, unreadable=self.unreadable,
            agreement=self.same / self.compared if self.compared else None, columns=columns,
            latencies_ms={name: latency_quantiles(counts, BOUNDS_MS) for name, counts in self._classes.items()},
            differences=self._samples,
        )  # fmt: skip


class _Answer(msgspec.Struct):
    predictions: list[dict[str, Any]]


_answer = msgspec.json.Decoder(_Answer)


def _columns(content: bytes, media_type: str | None) -> dict[str, list[Any]] | None:
    if media_type is None or media_type == JSON:
        try:
            rows = _answer.decode(content).predictions
            if rows and all(row.keys() == rows[0].keys() for row in rows):
                return {name: [row[name] for row in rows] for name in rows[0]}
        except (msgspec.DecodeError, ValueError):
            pass
    try:
        decoded = decode_answer(bytes(content), media_type or JSON)
    except UndecodedError:
        return None
    return {
        name: values if isinstance(values, list) else values.to_pylist() for name, values in decoded.columns.items()
    }
