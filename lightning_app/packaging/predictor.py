"""Answers requests: the one predictor that scoring, serving and notebooks share."""

from collections.abc import Mapping
from typing import Any

from lightning_app.packaging.errors import BadRowsError, PackageError, RequestError
from lightning_app.packaging.frames import as_frame, read_frame, write_frame
from lightning_app.packaging.graphs import GraphLayout
from lightning_app.packaging.labels import LABEL, named, named_column, with_likeliest
from lightning_app.packaging.manifest import Manifest
from lightning_app.packaging.requests import read_request
from lightning_app.packaging.rows import RowLayout, State
from lightning_app.packaging.session import open_session
from lightning_app.packaging.tokenizer import TEXT, TOKENS, Tokenizer
from lightning_app.packaging.values import Array, Values, check_values


class Predictor:
    """An ONNX graph, and what its manifest says about its inputs and answers.

    A request is a table (a polars DataFrame, or any with the Arrow interface) or a dict of arrays by name of an input;
    the answer is a polars DataFrame or a dict of arrays. Rows keep their order.

    Args:
        manifest: Signature, labels, layout.
        model: Content of the ONNX file.
        tokenizer: Where the input is text.
        num_threads: Threads of one call.

    Attributes:
        manifest: Signature, labels, layout.
        tokenizer: Where the input is text.
        session: The ONNX Runtime session.
    """

    def __init__(
        self, *, manifest: Manifest, model: bytes, tokenizer: Tokenizer | None = None, num_threads: int = 1
    ) -> None:
        manifest.check()
        if (tokenizer is None) != (manifest.tokenizer is None):
            raise PackageError("tokenizer: the manifest names one that is not there, or none where there is one")
        self.manifest = manifest
        self.tokenizer = tokenizer
        self.session = open_session(model, manifest, num_threads=num_threads)
        self._layout = GraphLayout(manifest) if manifest.layout == "graphs" else RowLayout(manifest)
        self._taken = [tensor.name for tensor in self.session.get_inputs()]
        self._shapes = {spec.name: spec.shape for spec in manifest.outputs}
        self._shapes.update((state.output, state.shape) for state in manifest.state)
        self._returned = [tensor.name for tensor in self.session.get_outputs()]

    def predict(self, request: Any) -> Any:
        """Answers every row of a request; a stream starts from its initial state.

        Args:
            request: A table, or a dict of arrays by name of an input. Text is a column, or a list, named `text`.

        Returns:
            A polars DataFrame for a table; a dict for a dict: arrays, or lists of arrays where rows differ in size. An
            answer that is a class is a `label`, its `probability`, and the `probabilities` of all.

        Raises:
            BadRowsError: Some rows cannot be answered, with the reason for each; none was.
            RequestError: The request does not fit.
        """
        return self.advance(request, None)[0]

    def advance(self, request: Any, state: State | None) -> tuple[Any, State]:
        """Answers the next chunk of every stream.

        Args:
            request: As of `predict`; a row per stream.
            state: As the call before returned it; None starts all streams anew.

        Returns:
            answer: As of `predict`.
            state: To give with the next chunk; empty where the layout is no stream.

        Raises:
            BadRowsError: Some rows cannot be answered, with the reason for each; none was.
            RequestError: The request or the state does not fit.
        """
        frame = as_frame(request)
        if frame is None and not isinstance(request, Mapping):
            raise RequestError(f"request: {type(request).__name__} given, a table or a dict of arrays needed")
        values = self._read(request if frame is None else frame, is_frame=frame is not None)
        answer, after = self._layout.answer(values, state, self._run)
        return self._finish(answer, is_frame=frame is not None), after

    def _read(self, request: Any, *, is_frame: bool) -> dict[str, Values]:
        inputs = self._layout.inputs
        tokens: dict[str, Values] = {}
        if self.tokenizer is not None and TEXT in (request.columns if is_frame else request):
            tokens[TOKENS] = self.tokenizer.read(request)
            inputs = tuple(spec for spec in inputs if spec.name != TOKENS)
            request = request.drop(TEXT) if is_frame else {key: request[key] for key in request if key != TEXT}
        values, reasons = read_frame(request, inputs) if is_frame else (read_request(request, inputs), {})
        checked = check_values({**tokens, **values}, self._layout.inputs, reasons, least_size=self._layout.least_size)
        self._layout.check(checked, reasons)
        if reasons:
            raise BadRowsError(reasons, num_rows=len(next(iter(checked.values()))))
        return checked

    def _finish(self, answer: dict[str, Values], *, is_frame: bool) -> Any:
        labels = self.manifest.labels
        if labels is None:
            return write_frame(answer) if is_frame else answer
        answer = with_likeliest(answer)
        places = answer.pop(LABEL)
        if is_frame:
            return write_frame(answer).insert_column(0, named_column(places, labels))
        return {LABEL: named(places, labels), **answer}

    def _run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        try:
            found = self.session.run(self._returned, {name: feed[name] for name in self._taken})
        except Exception as error:  # of ONNX Runtime, which has no class for them
            raise RequestError(f"request: the model cannot answer it: {str(error).strip()[:500]}") from error
        answer = dict(zip(self._returned, found, strict=True))
        for name, shape in self._shapes.items():
            sizes = answer[name].shape
            fits = len(sizes) == len(shape) and all(
                size == wanted or isinstance(wanted, str) for size, wanted in zip(sizes, shape, strict=True)
            )
            if not fits:
                raise PackageError(
                    f"{name}: the graph answers with shape {list(sizes)}, the manifest has {list(shape)}"
                )
        return answer
