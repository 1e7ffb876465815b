"""Retries: when a request is sent again, and when it is given up; shared by both clients, which only send and sleep."""

import secrets
import ssl
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from random import Random
from typing import TypeAlias

import httpx
import msgspec

from lightning_app.serving.client.errors import RequestRefusedError, UnavailableError

_AGAIN = frozenset({429, 502, 503, 504})
_MOST_MS = 86_400_000
"""Longest deadline that a server takes."""
_RANDOM = Random()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long a request is tried.

    Attributes:
        deadline: Seconds until the answer has to be there, over all attempts.
        timeout: Seconds of one attempt.
        retries: Attempts after the first.
        first_wait: Seconds before the second attempt; doubled from attempt to attempt.
        longest_wait: Most seconds between two attempts, unless the server asks for more.
    """

    deadline: float
    timeout: float
    retries: int
    first_wait: float = 0.05
    longest_wait: float = 2.0

    def __post_init__(self) -> None:
        for name in ("deadline", "timeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)} given, seconds above 0 needed")
        if self.retries < 0:
            raise ValueError(f"retries: {self.retries} given, at least 0 needed")

    def within(self, deadline: float | None) -> "RetryPolicy":
        """The same for one request with another deadline.

        Args:
            deadline: Seconds; None keeps that of the policy.
        """
        if deadline is None:
            return self
        return replace(self, deadline=deadline, timeout=min(self.timeout, deadline))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, whatever the number of its attempts.

    Attributes:
        method: HTTP method.
        path: Path on the server.
        request_id: Sent with each attempt, so that the server knows a second one.
        headers: Further headers.
        params: Query.
        content: Body.
    """

    method: str
    path: str
    request_id: str
    headers: Mapping[str, str]
    params: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """A client shall send this within so many seconds, and hand back the response or the error."""

    call: Call
    headers: Mapping[str, str]
    timeout: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """A client shall wait so many seconds."""

    seconds: float


Outcome: TypeAlias = "httpx.Response | httpx.TransportError | None"
Steps: TypeAlias = Generator[Send | Sleep, Outcome, httpx.Response]


def new_request_id() -> str:
    """An id that sorts by time."""
    return f"{time.time_ns() // 1000:014x}-{secrets.token_hex(8)}"


def exchange(call: Call, policy: RetryPolicy) -> Steps:
    """The steps from a request to its answer.

    Args:
        call: The request.
        policy: How often and how long it is tried.

    Returns:
        The answer, of status 200 to 299.

    Raises:
        RequestRefusedError: The server refused it.
        UnavailableError: Every attempt failed, or the deadline has passed.
    """
    end = time.monotonic() + policy.deadline
    attempt = 0
    while True:
        attempt += 1
        timeout = min(policy.timeout, end - time.monotonic())
        deadline = f"{min(max(timeout * 1000, 1), _MOST_MS):.0f}"
        outcome = yield Send(
            call, {**call.headers, "X-Request-Id": call.request_id, "X-Deadline-Ms": deadline}, timeout
        )
        assert outcome is not None
        if isinstance(outcome, httpx.Response):
            if outcome.is_success:
                return outcome
            error = _answered_error(outcome, call, attempt)
            is_final = outcome.status_code not in _AGAIN
            wait = _retry_after(outcome)
        else:
            error = _unreached_error(outcome, call, attempt, timeout)
            is_final = isinstance(outcome, httpx.UnsupportedProtocol | httpx.LocalProtocolError)
            is_final = is_final or _is_untrusted(outcome)
            wait = 0.0
        if is_final or attempt > policy.retries:
            raise error
        backoff = min(policy.longest_wait, policy.first_wait * 2 ** (attempt - 1))
        wait = max(wait, backoff) * _RANDOM.uniform(1.0, 1.5)
        if time.monotonic() + wait >= end:
            raise error
        yield Sleep(wait)


def _answered_error(response: httpx.Response, call: Call, attempts: int) -> RequestRefusedError | UnavailableError:
    status = response.status_code
    code, message, field = f"http_{status}", f"the server answered {status} {response.reason_phrase}", None
    rows: dict[int, str] = {}
    try:
        error = msgspec.json.decode(response.content)["error"]
        code, message, field = error["code"], error["message"], error.get("field")
        rows = {int(row): reason for row, reason in (error.get("rows") or {}).items()}
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, ValueError):
        pass  # by something between the client and the server
    if 400 <= status < 500 and status not in _AGAIN:
        return RequestRefusedError(
            message, status=status, code=code, request_id=call.request_id, field=field, rows=rows
        )
    return UnavailableError(message, status=status, code=code, request_id=call.request_id, attempts=attempts)


def _unreached_error(error: httpx.TransportError, call: Call, attempts: int, timeout: float) -> UnavailableError:
    if isinstance(error, httpx.TimeoutException):
        code, message = (
            "timeout",
            f"no answer within {timeout:.3g} s (the timeout, or what was left of the deadline)",
        )
    else:
        code, message = "unreachable", f"no answer: {str(error) or type(error).__name__}"
    unavailable = UnavailableError(message, status=None, code=code, request_id=call.request_id, attempts=attempts)
    unavailable.__cause__ = error
    return unavailable


def _is_untrusted(error: BaseException | None) -> bool:
    """Whether the certificate of the server is not trusted, which it will not be a moment later either."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks to wait: a number or a date; 0 without either."""
    text = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0
