"""Golden request (`golden.json`): a request with its answer, replayed whenever a package is loaded."""

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
"""Largest allowed difference between two machines, relative to the largest value of the answer."""


def make_golden(predictor: Predictor, request: Mapping[str, Any], *, tolerance: float = TOLERANCE) -> bytes:
    """Predicts a request, and serializes request and answer.

    Args:
        predictor: Predictor of the package.
        request: Dict request of a few rows.
        tolerance: Allowed difference in a replay.

    Returns:
        Content of `golden.json`.
    """
    plain_request = {name: _plain(value) for name, value in request.items()}
    answer = {name: _plain(value) for name, value in predictor.predict(plain_request).items()}
    return write_json({"request": plain_request, "answer": answer, "tolerance": tolerance})


def tolerance_of(folder: Path) -> float:
    """Allowed difference between the answers of a package on two machines; larger for quantized activations.

    Args:
        folder: Folder of a package that has been verified.
    """
    golden = read_json((folder / "golden.json").read_bytes(), name="golden.json")
    assert isinstance(golden, dict)
    return float(golden["tolerance"])


def replay(predictor: Predictor, content: bytes) -> float:
    """Predicts the golden request again, and compares the answers.

    Args:
        predictor: Predictor of the package.
        content: Content of `golden.json`.

    Returns:
        Largest difference from the golden answer, relative to the largest value of each output.

    Raises:
        PackageError: The file is invalid, or the difference exceeds its tolerance.
    """
    golden = read_json(content, name="golden.json")
    if not isinstance(golden, dict) or set(golden) != {"request", "answer", "tolerance"}:
        raise PackageError("golden.json: the keys answer, request, tolerance needed")
    request, expected, tolerance = golden["request"], golden["answer"], golden["tolerance"]
    if not isinstance(request, dict) or not isinstance(expected, dict) or not isinstance(tolerance, float):
        raise PackageError("golden.json: a request, an answer and a tolerance needed")
    if not 0 < tolerance <= 0.1:
        raise PackageError(f"golden.json: tolerance {tolerance} given, a number up to 0.1 needed")
    try:
        answer = predictor.predict(request)
    except RequestError as error:
        raise PackageError(f"golden.json: the golden request is refused: {error}") from error
    for name in id_columns(predictor.manifest) - set(expected):
        answer.pop(name, None)  # answers in packages of schema 1 had no id columns
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
        expected_values = np.asarray(expected, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise PackageError(f"golden.json: {name}: numbers needed") from error
    if expected_values.shape != answer.shape:
        shapes = f"shape {list(expected_values.shape)} expected, {list(answer.shape)} answered"
        raise PackageError(f"golden.json: {name}: {shapes}")
    if not expected_values.size:
        return 0.0
    if answer.dtype.kind != "f":
        return 0.0 if (answer == expected_values).all() else float("inf")
    return relative_difference(answer, expected_values)


def _plain(value: Any) -> Any:
    """Converts arrays to nested lists."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_plain(row) for row in value] if isinstance(value, list | tuple) else value
