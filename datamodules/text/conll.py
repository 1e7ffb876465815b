"""CoNLL reader: a word and its tag per line, in columns by tab or blanks, an empty line between texts."""

import re
from pathlib import Path

from datamodules.text.annotated_text import AnnotatedFile, AnnotatedText, Entity, read_lines
from features.text.tag_set import ParsedTag, entity_spans, parse_tag

_DOCUMENT = "-DOCSTART-"
_BLANKS = re.compile(r"[ \t]+")
_COMMENTS, _DOCUMENTS = "comments left out", f"{_DOCUMENT} lines left out"


def read_conll(path: Path, *, key: str = "data") -> AnnotatedFile:
    """Reads a file of words and tags; a text is its words with a blank between them.

    The first column is the word, the last its tag: `O`, or `B-`, `I-`, `E-`, `S-` before a label (IOB2, IOBES; an `I`
    without its `B` begins an entity). A file with one column has no tags, and can be predicted. Columns are those
    between tabs where a line has one, else between blanks. A line that starts with `#` and does not end in a tag is a
    comment, so that a word like `#music` stays a word.

    Args:
        path: The file, UTF-8, lines end in LF or CRLF.
        key: Key in the config, for messages.

    Raises:
        ValueError: A line has no tag while others have one, or its tag has no such form; names file and line.
    """
    texts: list[AnnotatedText] = []
    notes = {_COMMENTS: 0, _DOCUMENTS: 0}
    words: list[str] = []
    tags: list[ParsedTag] = []
    first = 0
    annotated: bool | None = None
    for number, line in enumerate([*read_lines(path, key=key), ""], 1):
        columns = _columns(line)
        if not columns or columns[0] == _DOCUMENT:
            notes[_DOCUMENTS] += bool(columns)
            if words:
                texts.append(_text(words, tags, first))
                words, tags = [], []
            continue
        tag = _tag(columns)
        if tag is None and line.startswith("#"):
            notes[_COMMENTS] += 1
            continue
        where = f"{key}: {path}, line {number}"
        if annotated is None:
            annotated = len(columns) > 1
        if annotated and len(columns) == 1:
            raise ValueError(
                f"{where}: {columns[0]!r} has no tag; a word and its tag are needed, or no tag in any line"
            )
        if annotated and tag is None:
            raise ValueError(
                f"{where}: tag {columns[-1]!r} in the last column, O, or B-, I-, E- or S- before a label is needed"
            )
        if not annotated and len(columns) > 1:
            raise ValueError(f"{where}: a tag given, the lines before have none; give all words their tag, or none")
        first = first if words else number
        words.append(columns[0])
        tags.append(tag if annotated and tag is not None else ParsedTag("O", ""))
    return AnnotatedFile(path, tuple(texts), bool(annotated), {name: count for name, count in notes.items() if count})


def _columns(line: str) -> list[str]:
    stripped = line.strip(" \t")
    if not stripped:
        return []
    if "\t" in stripped:
        return [column.strip(" ") for column in stripped.split("\t")]
    return _BLANKS.split(stripped)


def _tag(columns: list[str]) -> ParsedTag | None:
    try:
        return parse_tag(columns[-1]) if len(columns) > 1 else None
    except ValueError:
        return None


def _text(words: list[str], tags: list[ParsedTag], line: int) -> AnnotatedText:
    starts = [0]
    for word in words[:-1]:
        starts.append(starts[-1] + len(word) + 1)
    entities = tuple(
        Entity(starts[first], starts[end - 1] + len(words[end - 1]), label) for first, end, label in entity_spans(tags)
    )
    return AnnotatedText(" ".join(words), entities, line)
