"""Sample request of a package: a JSON body that the model answers, from its reference sample or its golden request."""

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from lightning_app.packaging import Package
from lightning_app.packaging.runtime.text.tokenizer import TEXT, TOKENS
from lightning_app.serving.inference.loaded_model import LoadedModel, Predictions
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.pages.raw_sample import raw_sample

GOLDEN = "golden.json"
_log = logging.getLogger("lightning_app.serving")
_MOST_CHARACTERS = 2_000
"""Characters of a sample text."""


@dataclass(frozen=True)
class Sample:
    """A request, and the answer of the model to it.

    Attributes:
        body: The JSON body.
        predictions: Predictions; None if the model refuses the body.
    """

    body: dict[str, Any]
    predictions: "Predictions | None"


def sample_request(model: LoadedModel) -> Sample | None:
    """The first of raw rows, named columns, and inputs of the graph that the model answers.

    Args:
        model: A loaded model.

    Returns:
        The request, and its answer; None if the files of the package have changed since it was loaded.
    """
    first: dict[str, Any] | None = None
    for candidate in (raw_sample, _golden_row):
        try:
            body = candidate(model.package)
            if body is None:
                continue
            first = first or body
            return Sample(body, _answer(model, body))
        except Exception as error:  # whatever a reference sample holds: the pages do without
            _log.debug("%s: no sample by %s: %s", model.name, candidate.__name__, error)
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


def _answer(model: LoadedModel, body: dict[str, Any]) -> Predictions:
    """Answers the body as the predict route does, without counting or journalling it."""
    if "tables" in body:
        tables = {name: _columns(table["records"]) for name, table in body["tables"].items()}
        request = ModelRequest(None, sum(len(table["records"]) for table in body["tables"].values()), tables=tables)
    else:
        request = ModelRequest(_columns(body["records"]), len(body["records"]))
    (answer,) = model.answer([model.prepare(request)])
    if isinstance(answer, Exception):
        raise answer
    return answer.predictions


def _columns(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [record[name] for record in records] for name in records[0]}


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
