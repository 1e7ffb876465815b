"""Health calls of grpc.health.v1, which Kubernetes and load balancers ask without a key."""

import asyncio

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from lightning_app.serving.grpc.call import Call
from lightning_app.serving.grpc.messages import INFERENCE, HealthCheckRequest, HealthCheckResponse
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.v2.errors import ProtocolError

_SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = 1, 2, 3
LIVENESS = "liveness"
"""Service that is up as long as the process is: a server whose journal is down must not be restarted for it."""
_WATCH_SECONDS = 0.5


class HealthCalls:
    """Says whether the worker answers.

    Args:
        state: State of the worker.
    """

    def __init__(self, state: ServingState) -> None:
        self._state = state

    async def check(self, call: Call) -> bytes:
        """Check: of the server for an empty service, or of one model by its name.

        Args:
            call: The call.
        """
        service = await _service(call)
        status = self._status(service)
        if status == _SERVICE_UNKNOWN:
            known = ", ".join((f"'{INFERENCE}'", f"'{LIVENESS}'", *self._state.models))
            raise HttpError(404, "no_such_service", f"service: {service[:100]!r} given, known are '', {known}")
        return _response(status)

    async def watch(self, call: Call) -> None:
        """Watch: the status, and each that comes after it.

        Args:
            call: The call.
        """
        service = await _service(call)
        last = 0
        while True:
            status = self._status(service)
            if status != last:
                await call.write(_response(status))
                last = status
            if self._state.is_draining:
                return
            await asyncio.sleep(_WATCH_SECONDS)

    def _status(self, service: str) -> int:
        if service == LIVENESS:
            return _SERVING
        if service in ("", INFERENCE):
            return _SERVING if self._state.is_ready else _NOT_SERVING
        model = self._state.models.get(service)
        if model is None:
            return _SERVICE_UNKNOWN
        return _SERVING if model.is_loaded and not self._state.is_draining else _NOT_SERVING


async def _service(call: Call) -> str:
    try:
        name: str = HealthCheckRequest.FromString(await call.read_one()).service
    except DecodeError as error:
        raise ProtocolError("body", "no HealthCheckRequest") from error
    return name


def _response(status: int) -> bytes:
    content: bytes = HealthCheckResponse(status=status).SerializeToString()
    return content
