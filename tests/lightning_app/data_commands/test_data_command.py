"""Verb `data`: its sub-commands are found by name, and loaded when they are called."""

import pytest

from lightning_app.__main__ import main
from lightning_app.data_commands.command import SUBCOMMANDS


def test_help_lists_every_sub_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in SUBCOMMANDS)
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("words", [[], ["shapshot"]])
def test_a_missing_or_unknown_sub_command_is_bad_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", *words]) == 2
    assert "allowed: " in capsys.readouterr().err
