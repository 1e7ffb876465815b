"""Selection of tests: a share of the slow proofs for each run of CI, and the fast tests for the inner loop."""

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forked import CPU_SECONDS

FAST_SECONDS = 0.2
"""CPU time that a test of the inner loop may take."""
_CACHE = "lightning_app/cpu_seconds"
_FITS = {"family", "fit_args", "stream_args", "sweep_args"}
"""Fixtures of tests that most likely fit."""
_NOT_FAST = "fits a model or starts a process: not for --fast"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("selection")
    group.addoption("--slow-share", metavar="K/N", help="Of the slow tests, run every N-th one, from the K-th on.")
    group.addoption("--fast", action="store_true", help="Run tests that neither fit nor start processes.")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "cache") and config.cache is not None:
        config.pluginmanager.register(_CpuSeconds(config.cache), "cpu_seconds")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out files without a slow test where only slow ones are wanted: importing takes most of the time."""
    if config.option.markexpr != "slow" or not config.getoption("slow_share") or collection_path.suffix != ".py":
        return None
    return True if "slow" not in collection_path.read_text(encoding="utf-8").lower() else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unwanted: list[pytest.Item] = []
    if share := config.getoption("slow_share"):
        chosen, of = _parse_share(share)
        slow = sorted((item for item in items if item.get_closest_marker("slow")), key=lambda item: item.nodeid)
        unwanted += [item for index, item in enumerate(slow) if index % of != chosen % of]
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)  # at the end other processes would wait
    if config.getoption("fast"):
        seconds = config.cache.get(_CACHE, {}) if config.cache else {}
        for item in items:
            fixtures: list[str] = item.fixturenames  # type: ignore[attr-defined]
            known = seconds.get(item.nodeid, float("inf") if _FITS & set(fixtures) else 0.0)
            if known > FAST_SECONDS or "family" in fixtures:
                unwanted.append(item)
            elif item.nodeid not in seconds:
                fixtures.insert(0, "_neither_fits_nor_starts_processes")
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        left_out = set(unwanted)
        items[:] = [item for item in items if item not in left_out]


def _parse_share(text: str) -> tuple[int, int]:
    try:
        chosen, of = map(int, text.split("/"))
    except ValueError:
        chosen, of = 0, 0
    if of < 1:
        raise pytest.UsageError(f"--slow-share: {text!r} given, two numbers such as 3/12 are needed")
    return chosen, of


@pytest.fixture
def _neither_fits_nor_starts_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips a test whose duration is not known at the point where it becomes long."""
    from lightning.pytorch import Trainer

    def skip(*args: object, **kwargs: object) -> None:
        pytest.skip(_NOT_FAST)

    monkeypatch.setattr(Trainer, "fit", skip)
    monkeypatch.setattr(subprocess.Popen, "__init__", skip)


class _CpuSeconds:
    """Keeps how much CPU time each test took the last time, with its processes, in pytest's cache."""

    def __init__(self, cache: pytest.Cache) -> None:
        self.cache = cache
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.began = _cpu_seconds()
        return (yield)

    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        item.user_properties.append(("cpu_seconds", _cpu_seconds() - self.began))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and _NOT_FAST in str(report.longrepr):
            self.seconds[report.nodeid] = float("inf")
        elif report.when == "teardown":
            self.seconds.setdefault(report.nodeid, dict(report.user_properties)["cpu_seconds"])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.seconds and not hasattr(session.config, "workerinput"):
            self.cache.set(_CACHE, {**self.cache.get(_CACHE, {}), **self.seconds})


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used) + sum(CPU_SECONDS)
