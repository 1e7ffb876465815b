"""Span lines: JSON lines of a text and its entities as spans of characters."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from datamodules.text.annotated_text import AnnotatedFile, AnnotatedText, Entity, read_lines

_TRIMMED = "entities with blanks at their ends, trimmed"
_EMPTY = "empty lines left out"


def read_span_lines(path: Path, *, column: str, key: str = "data") -> AnnotatedFile:
    """Reads lines such as `{"text": "Bob is in Rome", "entities": [{"start": 10, "end": 14, "label": "location"}]}`.

    Offsets count characters (Unicode code points) from 0; `end` is the one after the last. Further fields are not
    read. A file without `entities` in any line has texts alone, and can be predicted.

    Args:
        path: The file, UTF-8.
        column: Name of the field with the text.
        key: Key in the config, for messages.

    Raises:
        ValueError: A line is no such object, a span does not fit its text, or two overlap; names file and line.
    """
    texts: list[AnnotatedText] = []
    notes = {_TRIMMED: 0, _EMPTY: 0}
    annotated: bool | None = None
    for number, line in enumerate(read_lines(path, key=key), 1):
        where = f"{key}: {path}, line {number}"
        if not line.strip():
            notes[_EMPTY] += 1
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{where}: no JSON: {error}") from error
        if not isinstance(row, dict) or not isinstance(row.get(column), str):
            held = f"fields {', '.join(map(str, row))}" if isinstance(row, dict) else type(row).__name__
            raise ValueError(f"{where}: {held} given, an object with the text {column!r} is needed")
        if annotated is None:
            annotated = "entities" in row
        if annotated != ("entities" in row):
            has, had = ("no entities", "some") if annotated else ("entities", "none")
            raise ValueError(
                f"{where}: {has} given, the lines before have {had}; `entities: []` says that there is none"
            )
        entities = []
        for index, given in enumerate(row["entities"] if annotated else ()):
            entity, trimmed = _entity(given, row[column], f"{where}, entities[{index}]")
            entities.append(entity)
            notes[_TRIMMED] += trimmed
        entities.sort(key=lambda entity: entity.start)
        for one, other in pairwise(entities):
            if other.start < one.end:
                raise ValueError(f"{where}: {_shown(one)} and {_shown(other)} overlap; keep one of them")
        texts.append(AnnotatedText(row[column], tuple(entities), number))
    return AnnotatedFile(path, tuple(texts), bool(annotated), {name: count for name, count in notes.items() if count})


def _entity(given: Any, text: str, where: str) -> tuple[Entity, bool]:
    """The entity without blanks at its ends, and whether it had some."""
    fields = given if isinstance(given, dict) else {}
    start, end, label = (fields.get(name) for name in ("start", "end", "label"))
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in (start, end))
    if not whole or not isinstance(label, str) or not label:
        raise ValueError(f"{where}: {json.dumps(given)} given, whole numbers start and end, and a label are needed")
    assert isinstance(start, int)
    assert isinstance(end, int)
    if not 0 <= start < end <= len(text):
        raise ValueError(f"{where}: characters {start} to {end} given, the text has {len(text)}")
    inner = text[start:end]
    if not inner.strip():
        raise ValueError(f"{where}: characters {start} to {end} are blank, an entity needs a word")
    trimmed = Entity(start + len(inner) - len(inner.lstrip()), end - len(inner) + len(inner.rstrip()), label)
    return trimmed, trimmed != Entity(start, end, label)


def _shown(entity: Entity) -> str:
    return f"{entity.label} ({entity.start} to {entity.end})"
