"""Constant answer: the last fallback, the same numbers for every row in the form of the model that it stands in for."""

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np

from lightning_app.errors import UsageError, nearest
from lightning_app.packaging.format.signature import TensorSpec
from lightning_app.packaging.runtime.values import Array
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel

CONSTANT = "constant"
"""Stands in answers and in the journal where a model has its digest."""
_TOLERANCE = 1e-3


class ConstantAnswer:
    """Answers any number of rows with the same values, named and typed as the model names and types its own.

    Args:
        model: The model.
        values: Value of each output for one row.

    Attributes:
        model: The model, without a version and with the digest `constant`.

    Raises:
        UsageError: The values are not those of the outputs, or the model's answers have other rows than its requests.
    """

    def __init__(self, model: LoadedModel, values: Mapping[str, Any]) -> None:
        manifest = model.package.manifest
        raw = manifest.raw_input
        if manifest.layout != "rows" or manifest.state or (raw is not None and raw.kind != "features"):
            raise UsageError(
                f"fallback: a constant is given, but {model.name} does not answer row by row; fall back to a model"
            )
        names = [spec.name for spec in manifest.outputs]
        for name in values:
            if name not in names:
                raise UsageError(
                    f"fallback: constant: {name!r} is no output of {model.name}, which are {', '.join(names)}"
                    f"{nearest(name, names)}"
                )
        if missing := [name for name in names if name not in values]:
            raise UsageError(f"fallback: constant: {missing[0]} is not given; {model.name} answers {', '.join(names)}")
        self._row = {spec.name: _checked(spec, values[spec.name]) for spec in manifest.outputs}
        if manifest.labels is not None:
            _check_probabilities(self._row[names[0]], names[0], manifest.labels)
        self._predictor = model.package.predictor
        self.model = copy(model)
        self.model.version, self.model.digest = None, CONSTANT

    def answer(self, num_rows: int) -> Answer:
        """The answer to a request.

        Args:
            num_rows: Rows of the request.
        """
        rows = {name: np.repeat(value[None], num_rows, axis=0) for name, value in self._row.items()}
        return Answer(self._predictor.finish(rows, {}, is_frame=False))


def _checked(spec: TensorSpec, value: Any) -> Array:
    where = f"fallback: constant: {spec.name}"
    try:
        given = np.array(value)
    except ValueError as error:
        raise UsageError(f"{where}: lists of one length needed") from error
    if given.dtype.kind not in "biuf":
        raise UsageError(f"{where}: {value!r} given, numbers needed")
    shape = spec.shape[1:]
    if len(given.shape) != len(shape) or any(
        isinstance(size, int) and size != found for size, found in zip(shape, given.shape, strict=True)
    ):
        raise UsageError(f"{where}: shape {list(given.shape)} given, {list(shape)} needed")
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        raise UsageError(f"{where}: a number is not finite")
    cast = given.astype(spec.dtype)
    if cast.dtype.kind != "f" and not np.array_equal(cast, given):
        raise UsageError(f"{where}: {value!r} given, {spec.dtype} needed")
    return cast


def _check_probabilities(row: Array, name: str, labels: tuple[str, ...]) -> None:
    if row.min() < 0 or abs(float(row.sum()) - 1) > _TOLERANCE:
        raise UsageError(
            f"fallback: constant: {name}: probabilities of {', '.join(labels[:9])} that sum to 1 are needed"
        )
