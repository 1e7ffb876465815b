"""Password of the journal from a file, through the command line."""

from pathlib import Path

import pytest

from lightning_app.__main__ import main
from lightning_app.errors import UsageError
from lightning_app.serving.config.journal_password import with_password
from lightning_app.serving.config.serve_config import JournalConfig


def test_password_of_a_file_is_quoted_into_the_address(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("p@ss/w:rd\n")
    journal = JournalConfig(url="postgresql://web@one:5432,two/journal", password_file=str(tmp_path / "secret"))
    assert with_password(journal).url == "postgresql://web:p%40ss%2Fw%3Ard@one:5432,two/journal"


@pytest.mark.parametrize(
    ("url", "secret", "words"),
    [
        ("sqlite:///journal.db", "word", "only postgresql:// has a password"),
        ("postgresql://web:word@host/journal", "word", "beside a password"),
        ("postgresql://host/journal", "word", "names no user"),
        ("postgresql://web@host/journal", "\n", "is empty"),
        ("postgresql://web@host/journal", None, "cannot be read"),
    ],
)
def test_a_password_file_that_cannot_be_used_is_refused(
    tmp_path: Path, url: str, secret: str | None, words: str
) -> None:
    if secret is not None:
        (tmp_path / "secret").write_text(secret)
    with pytest.raises(UsageError, match=words):
        with_password(JournalConfig(url=url, password_file=str(tmp_path / "secret")))


def test_serve_says_what_is_wrong_with_a_password_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "serve.yaml").write_text("models: [{model: price}]\njournal: {password_file: none}\n")
    assert main(["serve", "--config", str(tmp_path / "serve.yaml"), "--port", "0"]) == 2
    assert "journal.password_file: given for the journal sqlite:///journal.db" in capsys.readouterr().err
