"""RedisSink: messages to a Redis stream."""

import redis
from typing_extensions import override

from lightning_app.errors import UsageError
from lightning_app.serving.stream.errors import StreamError
from lightning_app.serving.stream.event import Output
from lightning_app.serving.stream.sinks.protocol import Done, Sink

_AT_ONCE = 256


class RedisSink(Sink):
    """Adds entries in pipelines.

    Args:
        server: Address of the server.
        key: Key of the stream.
    """

    def __init__(self, *, server: str, key: str) -> None:
        self._server, self._key = server, key
        self._redis: redis.Redis | None = None
        self._waiting: list[tuple[Output, Done]] = []

    @override
    def open(self) -> None:
        try:
            self._redis = redis.Redis.from_url(self._server, socket_timeout=10, socket_connect_timeout=5)
        except ValueError as error:
            raise UsageError(f"redis: {error}") from error
        try:
            self._redis.ping()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise StreamError(f"redis: {error}") from error

    @override
    def send(self, message: Output, done: Done) -> None:
        self._waiting.append((message, done))
        if len(self._waiting) >= _AT_ONCE:
            self.poll(0.0)

    @override
    def poll(self, seconds: float) -> None:
        assert self._redis is not None
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for message, _ in waiting:
            fields: dict[str, str | bytes] = {
                "body": message.body, "request-id": message.request_id, "content-type": message.content_type,
                **message.headers,
            }  # fmt: skip
            if message.key is not None:
                fields["key"] = message.key
            pipeline.xadd(self._key, fields)  # type: ignore[arg-type]
        try:
            results = pipeline.execute(raise_on_error=False)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            results = [error] * len(waiting)
        for (_, done), result in zip(waiting, results, strict=True):
            is_error = isinstance(result, Exception)
            is_final = is_error and isinstance(result, redis.ResponseError) and "WRONGTYPE" in str(result)
            done(str(result) if is_error else None, is_final)

    @override
    def close(self) -> None:
        self._waiting.clear()
        if self._redis is not None:
            self._redis.close()
            self._redis = None
