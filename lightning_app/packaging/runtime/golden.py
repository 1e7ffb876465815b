"""`golden.json`: one request with its answer, which a package must still give where it is loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.strict_json import read_json, write_json
from lightning_app.packaging.runtime.predictor import Predictor
from lightning_app.packaging.runtime.relative_difference import relative_difference
from lightning_app.packaging.runtime.row_ids import id_columns

TOLERANCE = 1e-4
"""Largest difference between the answers of two machines, in units of the largest number of the answer."""


def make_golden(predictor: Predictor, request: Mapping[str, Any], *, tolerance: float = TOLERANCE) -> bytes:
    """Asks, and writes down what was asked and answered.

    Args:
        predictor: What answers.
        request: A dict request of a few rows.
        tolerance: Of the replay.

    Returns:
        The bytes of `golden.json`.
    """
    asked = {name: _plain(value) for name, value in request.items()}
    answer = {name: _plain(value) for name, value in predictor.predict(asked).items()}
    return write_json({"request": asked, "answer": answer, "tolerance": tolerance})


def tolerance_of(folder: Path) -> float:
    """How far answers of a package may be apart on two machines: more where activations are rounded to eight bits.

    Args:
        folder: Of a package that was loaded.
    """
    given = read_json((folder / "golden.json").read_bytes(), name="golden.json")
    assert isinstance(given, dict)
    return float(given["tolerance"])


def replay(predictor: Predictor, content: bytes) -> float:
    """Asks the golden request again.

    Args:
        predictor: What answers.
        content: Of `golden.json`.

    Returns:
        The largest difference to the golden answer, in units of the largest number of each output.

    Raises:
        PackageError: The file is not as it must be, or the answer another than it was.
    """
    given = read_json(content, name="golden.json")
    if not isinstance(given, dict) or set(given) != {"request", "answer", "tolerance"}:
        raise PackageError("golden.json: the keys answer, request, tolerance needed")
    request, expected, tolerance = given["request"], given["answer"], given["tolerance"]
    if not isinstance(request, dict) or not isinstance(expected, dict) or not isinstance(tolerance, float):
        raise PackageError("golden.json: a request, an answer and a tolerance needed")
    if not 0 < tolerance <= 0.1:
        raise PackageError(f"golden.json: tolerance {tolerance} given, a number up to 0.1 needed")
    try:
        answer = predictor.predict(request)
    except RequestError as error:
        raise PackageError(f"golden.json: the golden request is refused: {error}") from error
    for name in id_columns(predictor.manifest) - set(expected):
        answer.pop(name, None)  # packages of schema 1 did not say whom an answer is about
    if set(answer) != set(expected):
        raise PackageError(f"golden.json: outputs {', '.join(expected)} expected, {', '.join(answer)} answered")
    difference = max(_difference(name, answer[name], expected[name]) for name in answer)
    if not difference <= tolerance:
        raise PackageError(
            f"golden.json: the package answers its golden request differently from when it was written: "
            f"{difference:.2g} of the largest number, {tolerance:.2g} is allowed"
        )
    return difference


def _difference(name: str, answer: Any, expected: Any) -> float:
    if isinstance(answer, list):
        rows = list(expected) if isinstance(expected, list) else []
        if len(rows) != len(answer):
            raise PackageError(f"golden.json: {name}: {len(rows)} rows expected, {len(answer)} answered")
        return max((_difference(name, one, other) for one, other in zip(answer, rows, strict=True)), default=0.0)
    if answer.dtype.kind == "U":
        return 0.0 if answer.tolist() == expected else float("inf")
    try:
        wanted = np.asarray(expected, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise PackageError(f"golden.json: {name}: numbers needed") from error
    if wanted.shape != answer.shape:
        raise PackageError(f"golden.json: {name}: shape {list(wanted.shape)} expected, {list(answer.shape)} answered")
    if not wanted.size:
        return 0.0
    if answer.dtype.kind != "f":
        return 0.0 if (answer == wanted).all() else float("inf")
    return relative_difference(answer, wanted)


def _plain(value: Any) -> Any:
    """Nested lists of what may be arrays."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_plain(row) for row in value] if isinstance(value, list | tuple) else value
