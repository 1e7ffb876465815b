"""Client: predictions and feedback over HTTP, with retries that are journalled once."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from lightning_app.serving.client import requests
from lightning_app.serving.client.answer import Answer
from lightning_app.serving.client.bodies import Columns, Records
from lightning_app.serving.client.connection import arguments_of, headers_of, trusted
from lightning_app.serving.client.requests import Run
from lightning_app.serving.client.retries import Outcome, RetryPolicy, Send

T = TypeVar("T")


class Client:
    """Client of a server; keeps connections open, and may be shared by threads.

    A request that got no answer (no connection, a timeout, 429, 502, 503, 504) is sent again under the same request id,
    after a growing and random wait, or the one that the server asks for: a server with a journal answers it once.

        with Client("http://localhost:8000") as client:
            answer = client.predict([{"length": 5.1, "width": 3.5}])

    Args:
        address: Address of the server.
        key: API key; None without one.
        deadline: Seconds until an answer has to be there, over all attempts.
        timeout: Seconds of one attempt.
        retries: Attempts after the first.
        ca_file: Certificates that are trusted instead of the system's.
        connections: Connections at most.
    """

    def __init__(
        self,
        address: str,
        *,
        key: str | None = None,
        deadline: float = 30.0,
        timeout: float = 10.0,
        retries: int = 4,
        ca_file: str | Path | None = None,
        connections: int = 100,
    ) -> None:
        self._policy = RetryPolicy(deadline=deadline, timeout=timeout, retries=retries)
        self._http = httpx.Client(
            base_url=address,
            headers=headers_of(key),
            verify=trusted(ca_file),
            limits=httpx.Limits(max_connections=connections),
        )

    def predict(
        self,
        data: Records | Columns | Any | None = None,
        *,
        tables: Mapping[str, Any] | None = None,
        model: str | None = None,
        at: str | Sequence[str | datetime] | None = None,
        session: str | None = None,
        state: Any = None,
        return_state: bool = False,
        deadline: float | None = None,
        request_id: str | None = None,
    ) -> Answer:
        """Asks a model for predictions.

        Args:
            data: Records (a list of dictionaries), columns (a dictionary of lists or of numpy arrays), or a table
                (polars, or anything that speaks Arrow, as a pyarrow table). Tables travel as Arrow; NaN in lists and
                arrays travels as null.
            tables: Several tables by name, for models that join them; instead of `data`.
            model: Name of the model; None asks the first of the server.
            at: Which answers to raw rows: `last`, `all`, or times.
            session: Id of the stream whose state the server keeps.
            state: State of the stream, as the answer before returned it.
            return_state: Whether the answer shall contain the state after it.
            deadline: Seconds for this request, instead of the client's.
            request_id: Id of the request, unique; None makes one.

        Returns:
            The answer; its predictions have the form of the data.

        Raises:
            ValueError: The data has no form that can be sent.
            RequestRefusedError: The server refused the request; names field and rows.
            UnavailableError: No answer within the deadline and the retries.
        """
        run = requests.predict(
            data,
            self._policy.within(deadline),
            tables=tables,
            model=model,
            at=at,
            session=session,
            state=state,
            return_state=return_state,
            request_id=request_id,
        )
        return self._run(run)

    def feedback(self, request_id: str, *, row: int = 0, outcome: Any = None, reward: float | None = None) -> bool:
        """Says what came of a prediction.

        Args:
            request_id: Id of the answered request.
            row: Row of the request, from 0.
            outcome: The true value.
            reward: How good the answer was.

        Returns:
            Whether it was new to the server, which it is not if it was sent again because its answer got lost.

        Raises:
            ValueError: Neither outcome nor reward is there.
            RequestRefusedError: The server refused it, e.g. because it knows another outcome.
            UnavailableError: No answer within the deadline and the retries.
        """
        return self._run(requests.feedback(request_id, self._policy, row=row, outcome=outcome, reward=reward))

    def models(self) -> list[dict[str, Any]]:
        """Descriptions of the served models: name, version, digest, inputs, outputs.

        Raises:
            UnavailableError: No answer within the deadline and the retries.
        """
        return self._run(requests.models(self._policy))

    def ready(self) -> bool:
        """Whether the server can be reached and every model can answer; asked once."""
        return self._run(requests.ready(self._policy))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, run: Run[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = run.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Send):
                outcome = self._send(step)
            else:
                time.sleep(step.seconds)
                outcome = None

    def _send(self, step: Send) -> Outcome:
        end = time.monotonic() + step.timeout
        try:
            with self._http.stream(**arguments_of(step)) as response:
                content = bytearray()
                for part in response.iter_raw():
                    content += part
                    if time.monotonic() > end:  # httpx bounds the time between parts, not their sum
                        return httpx.ReadTimeout("the answer was not complete in time")
                return httpx.Response(response.status_code, headers=response.headers, content=bytes(content))
        except httpx.TransportError as error:
            return error
