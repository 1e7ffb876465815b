"""ModelCall: asks the ONNX Runtime session of a package, and checks the shapes of its answers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lightning_app.packaging.format.errors import PackageError, RunError, StoppedError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.stopping import current_stop
from lightning_app.packaging.runtime.values import Array

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class ModelCall:
    """A function from the inputs of the ONNX graph to its outputs.

    Args:
        session: ONNX Runtime session.
        manifest: Manifest with the expected outputs and state.
    """

    def __init__(self, session: "InferenceSession", manifest: Manifest) -> None:
        self._session = session
        self._taken = [tensor.name for tensor in session.get_inputs()]
        self._returned = [tensor.name for tensor in session.get_outputs()]
        self._shapes = {spec.name: spec.shape for spec in manifest.outputs}
        self._shapes.update((state.output, state.shape) for state in manifest.state)

    def __call__(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Asks the graph.

        Args:
            feed: Inputs by name; those that the graph does not take are left out.

        Raises:
            RunError: The model fails.
            StoppedError: It ran for too long.
            PackageError: An output has another shape than the manifest says.
        """
        stop = current_stop()
        try:
            options = None if stop is None else stop.options
            outputs = self._session.run(self._returned, {name: feed[name] for name in self._taken}, options)
        except Exception as error:  # ONNX Runtime has no common exception class
            if stop is not None and stop.is_set:
                raise StoppedError("a call of the model was stopped because it ran for too long") from error
            raise RunError(f"the model fails on it: {str(error).strip()[:500]}") from error
        answer = dict(zip(self._returned, outputs, strict=True))
        for name, shape in self._shapes.items():
            sizes = answer[name].shape
            if not _fits(sizes, shape):
                raise PackageError(
                    f"{name}: the graph answers with shape {list(sizes)}, the manifest has {list(shape)}"
                )
        return answer


def _fits(sizes: tuple[int, ...], shape: tuple[int | str, ...]) -> bool:
    if len(sizes) != len(shape):
        return False
    for size, expected in zip(sizes, shape, strict=True):  # a generator in `all` takes three times as long
        if size != expected and not isinstance(expected, str):
            return False
    return True
