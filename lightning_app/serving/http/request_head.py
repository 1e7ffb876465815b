"""Request head: what the headers and the query of a prediction say."""

import itertools
import re
import secrets
import time
from dataclasses import dataclass
from urllib.parse import parse_qsl

from lightning_app.serving.http.bodies import JSON, MEDIA_TYPES
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.security.key_file import KeyEntry

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_OPTIONS = ("at", "session", "return_state")
_process = secrets.token_hex(5)
_numbers = itertools.count()


@dataclass(slots=True)
class RequestHead:
    """Headers and query of a prediction.

    Attributes:
        request_id: The client's, or a new one.
        is_own_id: Whether the id is the client's, so that the journal may know it already.
        media_type: Of the body, without parameters.
        accept: Media type of the answer that the client asked for; None for that of the body.
        content_length: Header of that name.
        encoding: How the body is compressed; empty if it is not.
        deadline_ms: Header `X-Deadline-Ms`; None for that of the model.
        key: API key; None without one.
        key_entry: The key as it is known to the server; None if none is needed.
        key_id: Id of the key; None until it was checked.
        traceparent: Header of that name.
        tracestate: Header of that name.
        at: Which answers to raw rows are asked for.
        session: Session whose state is used.
        wants_state: Whether the answer shall contain the state after the request.
        query: The query as it was sent.
    """

    request_id: str
    is_own_id: bool = False
    media_type: str = JSON
    accept: str | None = None
    content_length: bytes | None = None
    encoding: str = ""
    deadline_ms: float | None = None
    key: str | None = None
    key_entry: KeyEntry | None = None
    key_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    at: str | list[str] | None = None
    session: str | None = None
    wants_state: bool = False
    query: str = ""

    @property
    def own_session(self) -> str | None:
        """Id of the session among those of its key: another key that uses the same id has another session."""
        return self.session if self.session is None or self.key_id is None else f"{self.key_id}/{self.session}"


def new_request_id() -> str:
    """An id that sorts by time, unique over processes and machines."""
    return f"{time.time_ns() // 1000:014x}-{_process}{next(_numbers):x}"


def read_head(headers: list[tuple[bytes, bytes]], query: bytes) -> RequestHead:
    """Reads headers and query.

    Args:
        headers: Names in lower case, and values.
        query: The query as it was sent.

    Raises:
        HttpError: One of them is not valid; its id, if any, is in `request_id` of the error's answer.
    """
    head = RequestHead("")
    fill_head(head, headers, query)
    return head


def fill_head(head: RequestHead, headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """Reads headers and query into the head of another protocol; otherwise like `read_head`.

    Args:
        head: A new head.
        headers: Names in lower case, and values.
        query: The query as it was sent.
    """
    for name, value in headers:
        if name == b"content-type":
            head.media_type = _media_type(value)
        elif name == b"content-length":
            head.content_length = value
        elif name == b"x-request-id":
            head.request_id, head.is_own_id = read_request_id(value.decode("latin-1"), "X-Request-Id"), True
        elif name == b"x-api-key":
            head.key = value.decode("latin-1")
        elif name == b"authorization":
            scheme, _, key = value.decode("latin-1").partition(" ")
            if scheme.lower() == "bearer":
                head.key = key.strip()
        elif name == b"x-deadline-ms":
            head.deadline_ms = _deadline(value)
        elif name == b"accept":
            head.accept = _accept(value)
        elif name == b"content-encoding":
            head.encoding = value.decode("latin-1")
        elif name == b"traceparent":
            head.traceparent = value.decode("latin-1")
        elif name == b"tracestate":
            head.tracestate = value.decode("latin-1")
    if not head.request_id:
        head.request_id = new_request_id()
    if query:
        _read_query(head, query)


def _read_query(head: RequestHead, query: bytes) -> None:
    head.query = query.decode("latin-1")
    try:
        pairs = parse_qsl(head.query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=10)
    except ValueError as error:
        raise HttpError(400, "bad_query", "query: NAME=VALUE&NAME=VALUE needed", field="query") from error
    seen: set[str] = set()
    for name, value in pairs:
        if name not in _OPTIONS:
            allowed = ", ".join(_OPTIONS)
            raise HttpError(400, "bad_query", f"query: {name[:100]!r} given, allowed: {allowed}", field=name[:100])
        if name in seen:
            raise HttpError(400, "bad_query", f"query: {name} given twice", field=name)
        seen.add(name)
        if name == "at":
            head.at = value if value in ("last", "all") else value.split(",")
        elif name == "session":
            head.session = read_session(value, "session")
        elif value in ("true", "false"):
            head.wants_state = value == "true"
        else:
            raise HttpError(400, "bad_query", f"return_state: {value[:100]!r} given, true or false needed", field=name)


def _media_type(value: bytes) -> str:
    if value == b"application/json":
        return JSON
    return value.decode("latin-1").partition(";")[0].strip().lower()


def _accept(value: bytes) -> str | None:
    """The first media type that can be answered; None if anything will do."""
    if value in (b"*/*", b""):
        return None
    wanted = [part.partition(";")[0].strip().lower() for part in value.decode("latin-1").split(",")]
    for media_type in wanted:
        if media_type in MEDIA_TYPES:
            return media_type
        if media_type in ("*/*", "application/*"):
            return None
    raise HttpError(406, "not_acceptable", f"Accept: allowed are {', '.join(MEDIA_TYPES)}", field="Accept")


def read_request_id(text: str, field: str) -> str:
    """Checks an id that a client chose.

    Args:
        text: The id.
        field: Where it was given.

    Raises:
        HttpError: It is no id.
    """
    if not _ID.fullmatch(text):
        raise HttpError(400, "bad_request_id", f"{field}: 1 to 128 letters, digits and _.:- needed", field=field)
    return text


def read_session(text: str, field: str) -> str:
    """Checks an id of a session.

    Args:
        text: The id.
        field: Where it was given.

    Raises:
        HttpError: It is no id.
    """
    if not _ID.fullmatch(text):
        raise HttpError(400, "bad_query", f"{field}: 1 to 128 letters, digits and _.:- needed", field=field)
    return text


def _deadline(value: bytes) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number <= 86_400_000:
        message = "X-Deadline-Ms: a number of milliseconds from above 0 to a day needed"
        raise HttpError(400, "bad_deadline", message, field="X-Deadline-Ms")
    return number
