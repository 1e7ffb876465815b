"""Default store: knows no entity, and answers the default of each feature; stands in for a store that is down."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from features.batch import Reason
from features.definitions import Definitions, HistoryFeature
from features.definitions.value_type import value_type
from features.rows import required_features
from features.store.errors import StoreError
from features.store.protocol import Stored, ViewWriter
from features.store.view_mark import read_mark

_TYPES: Mapping[str, tuple[type, ...]] = {"float": (float, int), "int": (int,), "bool": (bool,), "str": (str,)}


def without_default(definitions: Definitions, features: Sequence[str]) -> list[str]:
    """Features of history that are needed and have no default, or one of another type; full names.

    Args:
        definitions: The definitions.
        features: Full names of the features that are asked for.
    """
    missing = []
    for full in required_features(definitions, features):
        feature = definitions.feature(full)
        if not isinstance(feature, HistoryFeature):
            continue
        allowed = _TYPES.get(value_type(definitions, full), ())
        if not isinstance(feature.default, allowed) or (isinstance(feature.default, bool) and bool not in allowed):
            missing.append(full)
    return missing


class DefaultStore:
    """A store that answers defaults for every key, as of the time at which the real one was last written.

    Args:
        definitions: The definitions.
        mark: The mark of a view of a namespace as the real store last gave it; None if it never did.
        url: Address of the real store, for messages.
    """

    def __init__(self, definitions: Definitions, mark: Callable[[str, str], str | None], *, url: str) -> None:
        self.url = url
        self._definitions = definitions
        self._mark = mark
        self._marks: dict[tuple[str, str, str], str] = {}

    def read(self, namespace: str, view: str, keys: Sequence[str]) -> Stored:
        """See `OnlineStore.read`.

        Raises:
            StoreError: The real store has not been read since the start, so that it is not known what it holds.
        """
        known = self._mark(namespace, view)
        if known is None:
            raise StoreError(f"store: {self.url} has not been read yet, so that nothing can stand in for it")
        if (namespace, view, known) not in self._marks:
            self._marks = {key: text for key, text in self._marks.items() if key[:2] != (namespace, view)}
            self._marks[namespace, view, known] = self._of_defaults(view, known)
        return Stored(self._marks[namespace, view, known], [None] * len(keys))

    def marks(self, namespace: str) -> dict[str, str]:
        """See `OnlineStore.marks`."""
        found = {view: self._mark(namespace, view) for view in self._definitions.views}
        return {view: self._of_defaults(view, known) for view, known in found.items() if known is not None}

    @contextmanager
    def writing(self, namespace: str, view: str) -> Iterator[ViewWriter]:
        """Refuses: nothing is written to it."""
        raise StoreError(f"store: {self.url} is down, nothing is written to view {view!r} of {namespace!r}")
        yield

    def close(self) -> None:
        """Does nothing."""

    def _of_defaults(self, view: str, known: str) -> str:
        mark = read_mark(known, place=f"view {view!r}")
        values = [feature.default for feature in self._definitions.views[view].history.values()]
        reasons = [int(Reason.MISSING if value is None else 0) for value in values]
        return replace(mark, unknown_values=values, unknown_reasons=reasons).to_text()
