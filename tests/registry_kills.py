"""A program that ends registry commands by SIGKILL at one step after another, and looks at what they left.

Each command is a fork of a process that has imported everything. It dies right before one of its steps: a commit of the
database, or a call of the system that changes files. The next command of the same kind dies one step later, until one
comes to its end.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILES = (
    "os.rename",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "shutil.copyfile",
    "shutil.copytree",
)


def fork(work: Callable[[], Any], result: Path | None = None) -> int:
    """Runs something in a fork; what it returns is written to a file. The exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            outcome = work()
            if result is not None:
                result.write_text(json.dumps(outcome))
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            code = 1
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(step: int, work: Callable[[], Any]) -> Callable[[], Any]:
    """The same, but the process is killed right before its step of this number."""

    def run() -> Any:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        passed = 0

        def on_step(*_: Any) -> None:
            nonlocal passed
            if passed == step:
                os.kill(os.getpid(), signal.SIGKILL)
            passed += 1

        def on_call(name: str, arguments: tuple[Any, ...]) -> None:
            writes = name == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+")
            if name in FILES or writes:
                on_step()

        event.listen(Engine, "commit", on_step)
        sys.addaudithook(on_call)
        return work()

    return run


def command(verb: str, folder: Path) -> Callable[[], Any]:
    """One command on the registry of a folder."""
    from lightning_app.registry import Registry

    def run() -> Any:
        registry = Registry(f"sqlite:///{folder}/mlflow.db", cache=folder / "cache")
        if verb == "register":
            return registry.register(folder.parent / "package-3", "phase")
        if verb == "promote":
            return registry.promote("phase@2", to="champion").promoted
        if verb == "rollback":
            return registry.rollback("phase").after
        raise ValueError(verb)

    return run


def look(folder: Path) -> Callable[[], Any]:
    """What MLflow sees at once, and what the next command of the registry sees."""
    from lightning_app.packaging import Package
    from lightning_app.registry import Registry

    def run() -> Any:
        with sqlite3.connect(folder / "mlflow.db") as database:
            query = "select alias, version from registered_model_aliases where name = 'phase'"
            seen = dict(database.execute(query).fetchall())
        registry = Registry(f"sqlite:///{folder}/mlflow.db", cache=folder / "cache")
        versions = registry.versions("phase")
        for version in versions:
            assert Package.load(registry.resolve(f"phase@{version.record.number}").path).digest == version.record.digest
        return {
            "seen": seen,
            "aliases": {alias: version.record.number for version in versions for alias in version.aliases},
            "versions": len(versions),
            "entries": len(registry.history("phase").entries),
        }

    return run


def look_and_end(verb: str, folder: Path) -> Callable[[], Any]:
    """What a command left, and what there is after it ran once more."""

    def run() -> Any:
        left = look(folder)()
        if verb != "rollback" or left["aliases"]["champion"] == 2:
            command(verb, folder)()
        return {"left": left, "after": look(folder)()}

    return run


def run(folder: Path, verb: str, *, every: int, seed: int) -> list[dict[str, Any]]:
    """Kills a command at one step after another.

    Args:
        folder: With `start`, the registry to start from, and packages.
        verb: The command.
        every: 1 takes each step; more takes one at random out of so many.
        seed: Of the choice.

    Returns:
        For each kill what was left, and what there was after the command ran once more; the last was not killed.
    """
    outcomes: list[dict[str, Any]] = []
    step, rng = 0, random.Random(seed)
    while True:
        place = folder / "place"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder / "start", place)
        code = fork(killed_at(step, command(verb, place)))
        found = folder / "found.json"
        assert fork(look_and_end(verb, place), found) == 0
        outcomes.append({"step": step, "code": code} | json.loads(found.read_text()))
        if code != -signal.SIGKILL:
            return outcomes
        step += rng.randint(1, 2 * every - 1)


def together(folder: Path, verb: str, count: int) -> list[int]:
    """Exit codes of the same command in several processes at once."""
    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            try:
                command(verb, folder / "start")()
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                os._exit(1)
            os._exit(0)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


if __name__ == "__main__":
    import mlflow.pyfunc  # what every fork would otherwise import again
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import onnxruntime  # noqa: F401
    import polars  # noqa: F401
    import sqlalchemy.orm

    sqlalchemy.orm.configure_mappers()
    given = json.loads(sys.stdin.read())
    where = Path(given.pop("folder"))
    if "count" in given:
        outcome: Any = together(where, given["verb"], given["count"])
    else:
        outcome = run(where, given["verb"], every=given["every"], seed=given["seed"])
    print("OUTCOME", json.dumps(outcome))
