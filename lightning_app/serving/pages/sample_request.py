"""Sample request of a package: a JSON body that the model answers, from its reference sample or its golden request."""

import hashlib
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lightning_app.packaging import Package
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.runtime.tokenizer import TEXT, TOKENS
from lightning_app.serving.pages.raw_sample import raw_sample

if TYPE_CHECKING:
    import polars as pl

GOLDEN = "golden.json"
_LOG = logging.getLogger(__name__)
_MOST_CHARACTERS = 2_000
"""Characters of a sample text."""


@dataclass(frozen=True)
class Sample:
    """A request, and the answer of the package to it.

    Attributes:
        body: The JSON body.
        answer: Records of the answer; None if the package refuses the body.
    """

    body: dict[str, Any]
    answer: "pl.DataFrame | None"


def sample_request(package: Package) -> Sample | None:
    """The first of raw rows, named columns, and inputs of the graph that the package answers.

    Args:
        package: A loaded package.

    Returns:
        The request, and its answer; None if the files of the package have changed since it was loaded.
    """
    candidates: list[Callable[[Package], dict[str, Any] | None]] = [raw_sample, _golden_row]
    first: dict[str, Any] | None = None
    for candidate in candidates:
        try:
            body = candidate(package)
            if body is None:
                continue
            first = first or body
            return Sample(body, _answer(package, body))
        except (RequestError, PackageError, OSError, ValueError) as error:
            _LOG.debug("%s: no sample by %s: %s", package.manifest.name, candidate.__name__, error)
    return None if first is None else Sample(first, None)


def unchanged(package: Package, name: str) -> bytes | None:
    """Content of a file of the package; None if it is not what the manifest says.

    Args:
        package: A loaded package.
        name: Name of the file.
    """
    entry = (package.manifest.files or {}).get(name)
    try:
        content = (package.path / name).read_bytes()
    except OSError:
        return None
    fits = entry is not None and hashlib.sha256(content).hexdigest() == entry.sha256
    return content if fits else None


def _answer(package: Package, body: dict[str, Any]) -> "pl.DataFrame":
    import polars as pl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes on what was filled belong to a user's request, not to this one
        if "tables" in body:
            tables = {name: pl.DataFrame(table["records"]) for name, table in body["tables"].items()}
            answer = package.predict(tables)
        else:
            answer = package.predict(pl.DataFrame(body["records"], infer_schema_length=None))
    assert isinstance(answer, pl.DataFrame)
    return answer


def _golden_row(package: Package) -> dict[str, Any] | None:
    """The first row of the golden request: by columns where they are named, as text where there is a tokenizer."""
    content = unchanged(package, GOLDEN)
    if content is None:
        return None
    request = msgspec.json.decode(content)["request"]
    record: dict[str, Any] = {}
    specs = {spec.name: spec for spec in package.predictor.inputs}
    for name, values in request.items():
        row = values[0]
        spec = specs.get(name)
        if name == TOKENS and package.tokenizer is not None:
            record[TEXT] = package.tokenizer.decode(row)[:_MOST_CHARACTERS]
        elif spec is not None and spec.columns is not None and len(spec.shape) == 2:
            record.update(zip(spec.columns, short(row, spec.dtype), strict=True))
        else:
            record[name] = short(row, spec.dtype) if spec is not None else row
    return {"records": [record]}


def short(values: Any, dtype: str) -> Any:
    """Numbers with the fewest digits that give the same value in their dtype; nested lists stay nested.

    Args:
        values: A number, or nested lists of numbers.
        dtype: Dtype of the input.
    """
    if isinstance(values, list):
        return [short(value, dtype) for value in values]
    if isinstance(values, float) and dtype in ("float16", "float32"):
        return float(str(np.dtype(dtype).type(values)))
    return values
