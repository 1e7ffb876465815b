"""Reading: from the body of an event to a request of a model."""

from lightning_app.packaging.format.errors import RequestError
from lightning_app.serving.http.bodies import JSON, json_request, read_body
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.json_body import FORMS, columns_of, decode_json
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.stream.event import Event

_OF_REQUESTS = {*FORMS, "state"}


def read_event(event: Event, *, max_rows: int, max_bytes: int) -> tuple[ModelRequest, bytes]:
    """Reads an event: a request as HTTP takes it, or one JSON object that is a single row.

    An object is a request if it has one of the keys records, columns and tables, and nothing else.

    Args:
        event: The event.
        max_rows: Most rows.
        max_bytes: Most bytes.

    Returns:
        request: The request.
        body: The body as the journal keeps it: a single row as records with one row, so that all who read the journal
            find its columns in one place.

    Raises:
        HttpError: It is malformed, or too large.
        RequestError: It holds a state.
    """
    if len(event.body) > max_bytes:
        size = len(event.body)
        raise HttpError(413, "too_large", f"body: {size:,} bytes given, at most {max_bytes:,} are allowed")
    media_type = event.content_type.partition(";")[0].strip().lower()
    if media_type != JSON:
        return read_body(event.body, media_type, max_rows=max_rows)[0], event.body
    content = decode_json(event.body)
    if content.keys() <= _OF_REQUESTS and not content.keys().isdisjoint(FORMS):
        request, state = json_request(content)
        if state is not None:
            raise RequestError("state: given, but a stream keeps the state by the key of its events (--sessions)")
        if request.num_rows > max_rows:
            message = f"request: {request.num_rows:,} rows given, at most {max_rows:,} are allowed"
            raise HttpError(413, "too_many_rows", message, field="request")
        return request, event.body
    columns, num_rows, notes = columns_of("records", [content], where="event")
    return ModelRequest(columns, num_rows, notes=notes), b'{"records":[%b]}' % event.body
