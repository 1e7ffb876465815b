"""AnnotatedText: a text with its entities as spans of characters; read from CoNLL columns or JSON lines."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entity:
    """An entity of a text.

    Attributes:
        start: First character, in code points.
        end: The character after its last.
        label: Its label.
    """

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class AnnotatedText:
    """A text and its entities.

    Attributes:
        text: The text.
        entities: In the order of the text, none overlapping.
        line: Line of the file that it begins at, from 1.
    """

    text: str
    entities: tuple[Entity, ...]
    line: int


@dataclass(frozen=True)
class AnnotatedFile:
    """The texts of a file.

    Attributes:
        path: The file.
        texts: Its texts.
        annotated: Whether it says what the entities are; a file of texts alone can be predicted.
        notes: What was left out or mended, and how often.
    """

    path: Path
    texts: tuple[AnnotatedText, ...]
    annotated: bool
    notes: dict[str, int]


def read_lines(path: Path, *, key: str) -> list[str]:
    """Lines of a UTF-8 file, without their ends (LF or CRLF); a byte order mark at the start is left out.

    Args:
        path: The file.
        key: Key in the config, for messages.

    Raises:
        ValueError: The file is no UTF-8.
    """
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{key}: {path}, line {line}: no UTF-8 text ({error.reason}); convert the file") from error
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
