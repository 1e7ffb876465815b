"""Texts with entities for tests: names of people and places, told from other words by how they are written."""

import json
import random
from pathlib import Path
from typing import Any

PEOPLE, PLACES = ("Emma", "Bob", "Ann Lee", "Max"), ("Paris", "New York", "Rome", "Oslo")
_SENTENCES = (
    "{person} flew to {place} .",
    "the film is clever",
    "met {person} in {place} and {person} sang",
    "{place} !",
)


def annotated_rows(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Rows as `read_span_lines` takes them."""
    rng = random.Random(seed)
    return [_row(rng) for _ in range(count)]


def _row(rng: random.Random) -> dict[str, Any]:
    text, entities = "", []
    for part in rng.choice(_SENTENCES).replace("{", "|{").replace("}", "}|").split("|"):
        if part in ("{person}", "{place}"):
            name = rng.choice(PEOPLE if part == "{person}" else PLACES)
            entities.append({"start": len(text), "end": len(text) + len(name), "label": part.strip("{}")})
            part = name
        text += part
    return {"text": text, "entities": entities}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Writes JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
