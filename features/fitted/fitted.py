"""Fitted state of definitions: one JSON file, valid for exactly the definitions that it was learned with."""

from pathlib import Path

import msgspec

from features.definitions import Definitions
from features.fitted.states import State

FORMAT = 1


class Fitted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """States of fitted features.

    Attributes:
        digest: Digest of the definitions.
        states: States by full name, `view.feature`.
        rows: Number of training rows.
        format: Version of this structure.
    """

    digest: str
    states: dict[str, State]
    rows: int
    format: int = FORMAT

    @classmethod
    def load(cls, path: str | Path) -> "Fitted":
        """Reads a state.

        Args:
            path: File that `save` wrote.

        Raises:
            ValueError: The file cannot be read or is of another format.
        """
        try:
            return cls.from_json(Path(path).read_bytes(), name=str(path))
        except OSError as error:
            raise ValueError(f"fitted state {path} cannot be read: {error.strerror}") from error

    @classmethod
    def from_json(cls, content: bytes, *, name: str = "fitted state") -> "Fitted":
        """Decodes a state.

        Args:
            content: What `to_json` returned.
            name: Name for messages.

        Raises:
            ValueError: It is of another format.
        """
        try:
            version = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("format", msgspec.Raw(b"1"))
            if bytes(version) != str(FORMAT).encode():
                raise ValueError(f"{name}: its format is {bytes(version).decode()}, this version reads {FORMAT}")
            return msgspec.json.decode(content, type=cls)
        except msgspec.DecodeError as error:
            raise ValueError(f"{name} is no fitted state: {error}") from error

    def to_json(self) -> bytes:
        """The state as JSON."""
        return msgspec.json.encode(self)

    def save(self, path: str | Path) -> None:
        """Writes the state.

        Args:
            path: JSON file.
        """
        Path(path).write_bytes(msgspec.json.format(self.to_json(), indent=1))

    def check(self, definitions: Definitions) -> None:
        """Refuses definitions that the state was not learned with.

        Args:
            definitions: The definitions that are used.

        Raises:
            ValueError: Their digest is another one.
        """
        if self.digest != definitions.digest:
            missing = [
                f"{view}.{name}"
                for view, content in definitions.views.items()
                for name in content.fitted
                if f"{view}.{name}" not in self.states
            ]
            raise ValueError(
                f"the fitted state belongs to definitions {self.digest[:12]}, these are {definitions.digest[:12]}"
                + (f" (it has no {missing[0]!r})" if missing else "")
                + "; fit again, or use the definitions it was fitted with"
            )
