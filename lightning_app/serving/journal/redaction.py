"""Redaction: columns of requests that are not written, or of which only a salted hash is."""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec

from lightning_app.serving.journal.record import Prediction

_ARROW = ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file")
_PARQUET = "application/vnd.apache.parquet"
_HEX_DIGITS = 32


class Redaction:
    """Drops and hashes columns, in requests and in what answers copy of them.

    The same value has the same hash in JSON, Arrow and Parquet; the number 5, 5.0 and the text "5" are one value.

    Args:
        dropped: Columns that are not written.
        hashed: Columns of which a hash is written.
        salt: Key of the hash.
    """

    def __init__(self, *, dropped: Iterable[str], hashed: Iterable[str], salt: bytes) -> None:
        self._dropped, self._hashed, self._salt = frozenset(dropped), frozenset(hashed) - frozenset(dropped), salt

    def apply(self, prediction: Prediction) -> tuple[Prediction, int]:
        """Redacts a prediction.

        Args:
            prediction: As it was answered.

        Returns:
            redacted: What may be written; the notes of the answer are left out too, since they may quote values.
            num_unreadable: Number of bodies of unknown formats, which are left out as a whole.
        """
        values = _Removed()
        body, body_read = self._content(prediction.body, prediction.content_type, values)
        answer, answer_read = self._content(prediction.answer, prediction.answer_type, values)
        features = prediction.features
        if features is not None:
            features, _ = self._content(features, _ARROW[0], values)
        entity = prediction.entity
        if entity is not None and (entity in values.dropped or not body_read):
            entity = None  # of a body that cannot be read nobody knows from which column it is
        elif entity is not None and entity in values.hashed:
            entity = self.hash_of(entity)
        redacted = msgspec.structs.replace(
            prediction,
            body=body,
            answer=answer,
            features=features,
            entity=entity,
            body_digest=self._digest(prediction, body),
            is_redacted=answer != prediction.answer,
        )
        return redacted, (not body_read) + (not answer_read)

    def answer(self, content: bytes, media_type: str) -> tuple[bytes, bool]:
        """Redacts an answer that stands alone.

        Args:
            content: The answer.
            media_type: Its media type.

        Returns:
            redacted: What may be written.
            is_read: Whether its format is known; it is left out as a whole otherwise.
        """
        return self._content(content, media_type, _Removed())

    def _digest(self, prediction: Prediction, body: bytes) -> bytes:
        """Digest of what is written: that of the whole body could be used to test guesses of what was dropped."""
        if body == prediction.body:
            return prediction.body_digest
        if not body:
            return hmac.digest(self._salt, prediction.body_digest, "sha256")[:16]
        return sha256(b"\n".join((body, prediction.content_type.encode(), prediction.query.encode()))).digest()[:16]

    def hash_of(self, value: Any) -> str | None:
        """The hash of a value, 32 hexadecimal digits; None stays None.

        Args:
            value: A text, number, truth value, time or list.
        """
        if value is None:
            return None
        return hmac.digest(self._salt, _text(value).encode("utf-8", "surrogatepass"), "sha256").hex()[:_HEX_DIGITS]

    def _content(self, content: bytes, media_type: str, removed: "_Removed") -> tuple[bytes, bool]:
        kind = media_type.partition(";")[0].strip().lower()
        try:
            if kind == "application/json":
                return self._json(content, removed), True
            if kind in (*_ARROW, _PARQUET):
                from lightning_app.serving.journal.redacted_table import redacted_table

                return redacted_table(
                    content,
                    is_parquet=kind == _PARQUET,
                    is_stream=kind == _ARROW[0],
                    dropped=self._dropped,
                    hashed=self._hashed,
                    hash_of=self.hash_of,
                    removed=removed.add,
                ), True
        # All of pyarrow's, and too deep a nesting: what cannot be read is left out, the answer is given.
        except (ValueError, OSError, KeyError, TypeError, NotImplementedError, RecursionError):
            return b"", False
        return b"", not content

    def _json(self, content: bytes, removed: "_Removed") -> bytes:
        whole = msgspec.json.decode(content)
        num_removed = removed.count
        if not isinstance(whole, dict):
            kept_whole = self._walk(whole, removed)
            return content if removed.count == num_removed else msgspec.json.encode(kept_whole)
        # The names on the first level are those of the protocol, not of columns.
        kept: dict[str, Any] = {}
        for key, value in whole.items():
            if key in ("inputs", "outputs") and isinstance(value, list):
                kept[key] = self._tensors(value, removed)
            elif key == "parameters" and isinstance(value, dict):
                kept[key] = {name: inner for name, inner in value.items() if name != "notes"}
                removed.count += "notes" in value
            elif key == "notes":
                kept[key] = []
                removed.count += bool(value)
            else:
                kept[key] = self._walk(value, removed)
        return content if removed.count == num_removed else msgspec.json.encode(kept)

    def _tensors(self, tensors: list[Any], removed: "_Removed") -> list[Any]:
        """Tensors of the inference protocol: objects with `name` and `data`."""
        kept = []
        for tensor in tensors:
            name = tensor.get("name") if isinstance(tensor, dict) else None
            data = tensor.get("data") if isinstance(tensor, dict) else None
            if name in self._dropped and data is not None:
                removed.add(data, hashed=False)
            elif name in self._hashed and data is not None:
                removed.add(data, hashed=True)
                kept.append({**tensor, "data": self._hashed_each(data)})
            else:
                kept.append(tensor)
        return kept

    def _walk(self, value: Any, removed: "_Removed") -> Any:
        if isinstance(value, list):
            return [self._walk(inner, removed) for inner in value]
        if not isinstance(value, dict):
            return value
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            if key in self._dropped:
                removed.add(inner, hashed=False)
            elif key in self._hashed:
                removed.add(inner, hashed=True)
                kept[key] = self._hashed_each(inner)
            else:
                kept[key] = self._walk(inner, removed)
        return kept

    def _hashed_each(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._hashed_each(inner) for inner in value]
        if isinstance(value, dict):
            return {key: self._hashed_each(inner) for key, inner in value.items()}
        return self.hash_of(value)


class _Removed:
    """Values that were taken out, as texts: the key of the entity may be one of them."""

    def __init__(self) -> None:
        self.count = 0
        self.dropped: set[str] = set()
        self.hashed: set[str] = set()

    def add(self, value: Any, *, hashed: bool) -> None:
        self.count += 1
        if isinstance(value, list):
            for inner in value:
                self.add(inner, hashed=hashed)
        elif value is not None:
            (self.hashed if hashed else self.dropped).update((str(value), _text(value)))


def _text(value: Any) -> str:
    """One text for all forms of a value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | dict):
        return msgspec.json.encode(value, order="sorted").decode()
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)
