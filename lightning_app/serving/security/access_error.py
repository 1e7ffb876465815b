"""Access errors: requests that are refused because of who asks, or how often."""


class AccessError(Exception):
    """A request without permission; the answer has its status, code and message, and nothing else.

    Args:
        status: HTTP status: 401, 403 or 429.
        code: Short name of the reason, for programs.
        message: One line for the client; it holds no secrets.
        retry_after: Seconds after which the same request may be answered; None if waiting does not help.

    Attributes:
        status: As given.
        code: As given.
        message: As given.
        retry_after: As given.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
