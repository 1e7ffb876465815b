"""The page of results is what its program writes, and says how long each section takes."""

import pytest

from benchmarks.__main__ import SECTIONS, show_list
from benchmarks.durations import ESTIMATES
from benchmarks.earlier import EARLIER
from benchmarks.results_page import RESULTS, read_page, render_page


def test_nothing_stands_on_the_page_around_the_measurements_but_what_the_program_writes() -> None:
    assert RESULTS.read_text() == render_page(read_page(), SECTIONS)  # else: python -m benchmarks --page


def test_every_section_is_listed_with_the_time_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    show_list()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(SECTIONS)
    assert lines[-1].startswith(f"{len(SECTIONS)} sections, about ")
    assert "never timed" not in lines[-1]
    assert set(SECTIONS) >= set(EARLIER)
    assert set(SECTIONS) >= set(ESTIMATES)
