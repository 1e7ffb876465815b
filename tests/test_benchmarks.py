"""The page of results is what its program writes, and says how long each section takes."""

import ast
import importlib
import shutil
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import SECTIONS, show_list
from benchmarks.durations import ESTIMATES
from benchmarks.earlier import EARLIER
from benchmarks.ensembles.rules import RULES
from benchmarks.measure import ROOT
from benchmarks.production import KILLED
from benchmarks.results_page import RESULTS, read_page, render_page
from benchmarks.serving import SECTIONS as SERVING
from benchmarks.serving.effort import QUICK
from benchmarks.serving.operation import TESTS as UNDER_LOAD
from benchmarks.serving.servers import PEER


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


OURS = ("lightning_app", "models", "datamodules", "callbacks", "sweeps", "benchmarks", "tests")
PROGRAMS = sorted((RESULTS.parent / "programs").glob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_what_a_program_imports_of_this_project_is_there(program: Path) -> None:
    for node in ast.walk(ast.parse(program.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
            module = importlib.import_module(node.module or "")
            for name in node.names:
                assert hasattr(module, name.name), f"{node.module}.{name.name}"


def test_the_tests_that_sections_run_are_there() -> None:
    for _, path, _, _ in KILLED:
        assert (ROOT / "tests" / "lightning_app" / path).is_file()
    under_load = (ROOT / UNDER_LOAD).read_text()
    for name in ("kills_under_load", "reloads_under_load", "LIGHTNING_APP_KILLS", "LIGHTNING_APP_RELOADS"):
        assert name in under_load


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed; Debian has it as a package")
@pytest.mark.parametrize("name", [name for name in SERVING if name != "serving_kills"])
def test_a_section_of_serving_measures(name: str) -> None:
    if name == "serving_speed" and not (PEER / "bin" / "litserve").exists():
        pytest.skip(
            "LitServe needs an environment of its own, which the section makes: python -m benchmarks serving_speed"
        )
    if name == "serving_grpc" and shutil.which("h2load") is None:
        pytest.skip("h2load is not installed; Debian has it in nghttp2-client")
    body = SERVING[name](QUICK)  # type: ignore[call-arg]
    lines = [[cell.strip() for cell in line.split("|")] for line in body.splitlines()]
    for header in (line for line in lines if "errors" in line):
        place = header.index("errors")
        assert {line[place] for line in lines if len(line) == len(header)} == {"errors", "---", "0"}
    assert "| **missed** |" in body or "| reached |" in body


def test_every_rule_for_ensembles_gives_weights_and_leaves_a_member_that_is_far_off() -> None:
    errors = torch.randn(80, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    errors[:, 3] *= 10
    products = errors @ errors.transpose(1, 2)
    for name, rule in RULES.items():
        weights = rule(products, 6, 5)
        assert float(weights.sum()) == pytest.approx(1.0), name
        assert float(weights.min()) >= 0, name
        assert float(weights[3]) < (0.3 if name == "all" else 0.05), name
