"""Protocol errors: requests that do not follow the Open Inference Protocol, and tensors that cannot be sent."""

from lightning_app.packaging.format.errors import RequestError


class ProtocolError(RequestError):
    """The request is no request of the protocol, or asks for what the model does not have.

    Args:
        field: Tensor, parameter or header that is wrong.
        problem: What was given, and what is allowed.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field[:200]}: {problem}")
        self.field = field[:200]
