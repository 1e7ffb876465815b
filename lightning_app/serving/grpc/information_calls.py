"""Information calls: ServerLive, ServerReady, ServerMetadata, ModelReady, ModelMetadata."""

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from lightning_app.serving.grpc.call import Call
from lightning_app.serving.grpc.message_pool import Message
from lightning_app.serving.grpc.messages import (
    ModelMetadataRequest,
    ModelMetadataResponse,
    ModelReadyRequest,
    ModelReadyResponse,
    ServerLiveResponse,
    ServerMetadataResponse,
    ServerReadyResponse,
)
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.v2.errors import ProtocolError
from lightning_app.serving.v2.metadata import model_metadata, server_metadata
from lightning_app.serving.v2.routes import served_model

_TENSOR = ("name", "datatype", "shape")


class InformationCalls:
    """Says what the worker and its models are.

    Args:
        state: State of the worker.
    """

    def __init__(self, state: ServingState) -> None:
        self._state = state

    async def live(self, _: Call) -> bytes:
        """ServerLive."""
        return _bytes(ServerLiveResponse(live=True))

    async def ready(self, _: Call) -> bytes:
        """ServerReady."""
        return _bytes(ServerReadyResponse(ready=self._state.is_ready))

    async def metadata(self, _: Call) -> bytes:
        """ServerMetadata."""
        return _bytes(ServerMetadataResponse(**server_metadata()))

    async def model_ready(self, call: Call) -> bytes:
        """ModelReady.

        Args:
            call: The call.
        """
        model = await self._model(call, ModelReadyRequest)
        return _bytes(ModelReadyResponse(ready=model is not None and not self._state.is_draining))

    async def model_metadata(self, call: Call) -> bytes:
        """ModelMetadata.

        Args:
            call: The call.
        """
        model = await self._model(call, ModelMetadataRequest)
        if model is None:
            raise HttpError(503, "loading", "the model is not loaded yet", retry_after=1)
        metadata = model_metadata(model.name, model.version, model.package.predictor)
        message = ModelMetadataResponse(
            name=metadata["name"], versions=metadata["versions"], platform=metadata["platform"]
        )
        for tensors, added in ((metadata["inputs"], message.inputs), (metadata["outputs"], message.outputs)):
            for tensor in tensors:
                added.add(**{field: tensor[field] for field in _TENSOR})
        return _bytes(message)

    async def _model(self, call: Call, kind: Message) -> LoadedModel | None:
        """The model that a request names; None while it is loaded."""
        access = self._state.access
        if not access.allows(call.key, "predict"):
            access.check(call.key, "predict")
        try:
            request = kind.FromString(await call.read_one())
        except DecodeError as error:
            raise ProtocolError("body", "no request of this method") from error
        access.check(call.key, "predict", request.name)
        return served_model(self._state, request.name, request.version or None)


def _bytes(message: Message) -> bytes:
    content: bytes = message.SerializeToString()
    return content
