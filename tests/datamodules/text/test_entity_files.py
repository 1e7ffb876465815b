"""Files of texts with entities: CoNLL columns and JSON lines, and what is said of lines that do not fit."""

from pathlib import Path

import pytest

from datamodules.text.annotated_text import AnnotatedFile, Entity
from datamodules.text.conll import read_conll
from datamodules.text.span_lines import read_span_lines


def conll(tmp_path: Path, content: str | bytes) -> AnnotatedFile:
    path = tmp_path / "file.conll"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_conll(path, key="data.train")


def span_lines(tmp_path: Path, content: str) -> AnnotatedFile:
    path = tmp_path / "file.jsonl"
    path.write_text(content, encoding="utf-8")
    return read_span_lines(path, column="text", key="data.train")


@pytest.mark.parametrize(
    "content",
    [
        "Bob\tB-person\nin\tO\nNew\tB-location\nYork\tI-location\n\nHi\tO\n",
        "Bob B-person\r\nin O\r\nNew B-location\r\nYork I-location\r\n\r\nHi O",
        "-DOCSTART- -X- O\n\nBob NNP x B-person\nin IN x O\nNew NNP x I-location\nYork NNP x I-location\n\t\nHi x O\n",
        "\ufeff# id = 7\nBob\tS-person\nin\tO\nNew\tB-location\nYork\tE-location\n\nHi\tO\n",
    ],
    ids=["tabs", "blanks, CRLF, no last newline", "columns, document mark, IOB1", "byte order mark, comment, IOBES"],
)
def test_the_same_texts_in_every_way_of_writing_them(tmp_path: Path, content: str) -> None:
    first, second = conll(tmp_path, content).texts
    assert (first.text, second.text) == ("Bob in New York", "Hi")
    assert first.entities == (Entity(0, 3, "person"), Entity(7, 15, "location"))
    assert second.entities == ()


def test_words_that_start_with_a_hash_are_no_comments(tmp_path: Path) -> None:
    file = conll(tmp_path, "# text = one\n#music\tO\n#\tO\n#Bob\tB-person\n")
    assert [one.text for one in file.texts] == ["#music # #Bob"]
    assert file.notes == {"comments left out": 1}


def test_a_file_of_words_alone_has_no_entities(tmp_path: Path) -> None:
    file = conll(tmp_path, "Bob\nsings\n")
    assert not file.annotated
    assert file.texts[0].text == "Bob sings"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Bob\tB-person\nsings\n", "line 2: 'sings' has no tag; a word and its tag are needed, or no tag in any line"),
        ("Bob\tperson\n", "line 1: tag 'person' in the last column, O, or B-, I-, E- or S- before a label is needed"),
        ("Bob\tO\nsings\tX-person\n", "line 2: tag 'X-person' in the last column"),
        ("Bob\nsings\tO\n", "line 2: a tag given, the lines before have none"),
        (b"Bob\tO\nZo\xeb\tO\n", "line 2: no UTF-8 text"),
    ],
)
def test_lines_that_do_not_fit_are_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r"data.train: .*file.conll, " + message):
        conll(tmp_path, content)


def test_spans_count_characters_and_lose_blanks_at_their_ends(tmp_path: Path) -> None:
    content = (
        '{"text": "😀 Zoë in Rome", "id": 7, "entities": [{"start": 8, "end": 13, "label": "location"}, '
        '{"start": 2, "end": 5, "label": "person"}]}\n\n{"text": "", "entities": []}\n'
    )
    file = span_lines(tmp_path, content)
    first, second = file.texts
    assert [first.text[one.start : one.end] for one in first.entities] == ["Zoë", "Rome"]
    assert second.text == ""
    assert file.notes == {"entities with blanks at their ends, trimmed": 1, "empty lines left out": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no JSON"),
        ('["Bob"]', "list given, an object with the text 'text' is needed"),
        ('{"body": "Bob"}', "fields body given, an object with the text 'text' is needed"),
        ('{"text": "Bob", "entities": [{"start": 0, "label": "a"}]}', r"entities\[0\]: .* whole numbers start and end"),
        (
            '{"text": "Bob", "entities": [{"start": 0, "end": 4, "label": "a"}]}',
            "characters 0 to 4 given, the text has 3",
        ),
        (
            '{"text": "Bob", "entities": [{"start": 2, "end": 2, "label": "a"}]}',
            "characters 2 to 2 given, the text has 3",
        ),
        ('{"text": "a  b", "entities": [{"start": 1, "end": 3, "label": "a"}]}', "characters 1 to 3 are blank"),
        (
            '{"text": "BoR", "entities": [{"start": 0, "end": 3, "label": "a"}, {"start": 2, "end": 3, "label": "b"}]}',
            r"a \(0 to 3\) and b \(2 to 3\) overlap; keep one of them",
        ),
        ('{"text": "Bob"}', "no entities given, the lines before have some"),
    ],
)
def test_span_lines_that_do_not_fit_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"data.train: .*file.jsonl, line 2.*" + message):
        span_lines(tmp_path, f'{{"text": "x", "entities": []}}\n{line}\n')
