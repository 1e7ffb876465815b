"""The examples of the page on packages run."""

import re
from pathlib import Path

import pytest

from tests.lightning_app.packaging.runtime.test_streams import stream_package
from tests.packages import small_package

PAGE = (Path(__file__).parents[3] / "docs" / "production.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def example(words: str) -> str:
    (code,) = [code for code in EXAMPLES if words in code]
    return code


def test_a_package_is_asked_as_the_page_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_package(tmp_path / "package", columns=None)
    names: dict[str, object] = {}
    exec(example('Package.load("package")'), names)
    assert "price" in capsys.readouterr().out
    exec(example("BadRowsError"), names)


def test_a_stream_goes_on_as_the_page_shows(tmp_path: Path) -> None:
    from lightning_app.packaging import Package

    names: dict[str, object] = {"package": Package.load(stream_package(tmp_path / "package"))}
    exec(example("package.advance"), names)
    assert set(names["state"]) == {"state_0", "state_1"}
