"""AsyncClient: `Client` for asyncio."""

import asyncio
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


class AsyncClient:
    """Client of a server for asyncio; see `Client`.

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
        self._http = httpx.AsyncClient(
            base_url=address,
            headers=headers_of(key),
            verify=trusted(ca_file),
            limits=httpx.Limits(max_connections=connections),
        )

    async def predict(
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
        """Asks a model for predictions; see `Client.predict`."""
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
        return await self._run(run)

    async def feedback(
        self, request_id: str, *, row: int = 0, outcome: Any = None, reward: float | None = None
    ) -> bool:
        """Says what came of a prediction; see `Client.feedback`."""
        return await self._run(requests.feedback(request_id, self._policy, row=row, outcome=outcome, reward=reward))

    async def models(self) -> list[dict[str, Any]]:
        """Descriptions of the served models; see `Client.models`."""
        return await self._run(requests.models(self._policy))

    async def ready(self) -> bool:
        """Whether the server can be reached and every model can answer; asked once."""
        return await self._run(requests.ready(self._policy))

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, run: Run[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = run.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Send):
                outcome = await self._send(step)
            else:
                await asyncio.sleep(step.seconds)
                outcome = None

    async def _send(self, step: Send) -> Outcome:
        try:
            async with asyncio.timeout(step.timeout):
                return await self._http.request(**arguments_of(step))
        except TimeoutError:
            return httpx.ReadTimeout("the answer was not complete in time")
        except httpx.TransportError as error:
            return error
