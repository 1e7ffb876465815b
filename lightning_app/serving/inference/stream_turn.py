"""StreamTurn: one request of a stream, its state before from a session or the client, and its state after."""

from dataclasses import dataclass
from typing import Any

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.runtime.rows import StreamState
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.inference.sessions import Session, SessionStore
from lightning_app.serving.inference.stream_state import (
    check_streams,
    decode_state,
    encode_state,
    read_state_bytes,
    state_bytes,
)


@dataclass(slots=True)
class StreamTurn:
    """A request of a recurrent model that reads or keeps state.

    Attributes:
        before: State before the request; None for the initial state.
    """

    before: StreamState | None
    _model: LoadedModel
    _request: str | None
    _returns: bool
    _session: str | None = None
    _sessions: SessionStore | None = None
    _found: Session | None = None
    _ends: bool = False

    @classmethod
    def of_sequence(
        cls,
        model: LoadedModel,
        sessions: SessionStore,
        *,
        request: str | None,
        num_rows: int,
        sequence: str,
        starts: bool,
        ends: bool,
    ) -> "StreamTurn":
        """Reads the state before a request of a sequence, which is a session that says where it starts and ends.

        Args:
            model: The version that answers.
            sessions: Sessions of the server.
            request: Id that the client gave the request; None without one.
            num_rows: Rows of the request, one per stream.
            sequence: Id of the sequence.
            starts: Whether the request is the first of the sequence.
            ends: Whether it is the last.

        Raises:
            RequestError: The model carries no state, or the sequence has not been started, or has ended.
            SessionConflictError: The request was answered before, and others of the sequence since.
            SessionVersionError: The sequence was started with another version.
        """
        specs = model.package.manifest.state
        if not specs:
            raise RequestError(f"sequence_id: given, but {model.name} carries no state from request to request")
        found = sessions.read(model.name, sequence, digest=model.digest, request=request, starts=starts)
        if found.state is None:
            if not starts:
                raise RequestError(
                    "sequence_id: the sequence was not started, has ended or is forgotten; begin with sequence_start"
                )
            return cls(None, model, request, False, sequence, sessions, found, ends)
        before = read_state_bytes(found.state, specs, digest=model.digest)
        check_streams(before, num_rows, what="sequence_id")
        return cls(before, model, request, False, sequence, sessions, found, ends)

    @classmethod
    def begin(
        cls,
        model: LoadedModel,
        sessions: SessionStore,
        *,
        request: str | None,
        num_rows: int,
        session: str | None,
        state: Any,
        returns_state: bool,
    ) -> "StreamTurn | None":
        """Reads the state before a request; None for a request that has nothing to do with state.

        Args:
            model: The version that answers.
            sessions: Sessions of the server.
            request: Id that the client gave the request; None without one.
            num_rows: Rows of the request, one per stream.
            session: Id of the session; None without one.
            state: What the client gave as state; None without any.
            returns_state: Whether the answer contains the state after the request.

        Raises:
            RequestError: The model carries no state, the state does not fit, or a session and a state are given.
            SessionConflictError: The request was answered before, and others of the session since.
            SessionVersionError: The session belongs to another version.
        """
        if session is None and state is None and not returns_state:
            return None
        specs = model.package.manifest.state
        if not specs:
            given = "session" if session is not None else "state" if state is not None else "return_state"
            raise RequestError(f"{given}: given, but {model.name} carries no state from request to request")
        if session is None:
            before = None
            if state is not None:
                before = decode_state(state, specs, digest=model.digest, num_rows=num_rows)
            return cls(before, model, request, returns_state)
        if state is not None:
            raise RequestError("state: given beside a session, which has its own; give one of them")
        found = sessions.read(model.name, session, digest=model.digest, request=request)
        before = None if found.state is None else read_state_bytes(found.state, specs, digest=model.digest)
        if before is not None:
            check_streams(before, num_rows, what="session")
        return cls(before, model, request, returns_state, session, sessions, found)

    def end(self, after: StreamState) -> str | None:
        """Keeps the state after the request in its session.

        Args:
            after: The state.

        Returns:
            The state as text, where the client asked for it.

        Raises:
            SessionConflictError: Another request of the session was answered in the meantime.
        """
        if self._sessions is not None:
            assert self._session is not None
            assert self._found is not None
            model = self._model
            self._sessions.write(
                model.name,
                self._session,
                self._found,
                b"" if self._ends else state_bytes(after, digest=model.digest),
                digest=model.digest,
                version=model.version,
                request=self._request,
            )
        return encode_state(after, digest=self._model.digest) if self._returns else None

    def undo(self) -> None:
        """Takes back `end` of a request that is not answered after all, so that its session is where it was.

        A request with an id of its own needs that not: it is told by its id when it is sent again.

        Raises:
            SessionsBusyError: The sessions cannot be reached.
        """
        if self._sessions is not None and self._request is None:
            assert self._session is not None
            assert self._found is not None
            self._sessions.undo(self._model.name, self._session, self._found)
