"""Verbs of installed packages: entry points of the group `lightning_app.verbs`, read without importing them.

Starts without torch: `lightning-app --help` lists them.
"""

import ast
import sys
from collections.abc import Collection, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

GROUP = "lightning_app.verbs"
"""Name of the verb, and its function as `module:function`; it is called with the words, verb first."""


def installed_verbs(own: Collection[str]) -> dict[str, list[EntryPoint]]:
    """Entry points by verb, in alphabetical order; several where packages name the same verb.

    Args:
        own: Verbs of this project, which no package can replace.
    """
    found: dict[str, list[EntryPoint]] = {}
    for point in _points():
        if point.name not in own:
            found.setdefault(point.name, []).append(point)
    return found


def unused_verbs(own: Collection[str]) -> list[str]:
    """A line for each verb of a package that cannot be called, for `--help`.

    Args:
        own: Verbs of this project, which no package can replace.
    """
    hidden = [point for point in _points() if point.name in own]
    lines = [f"verb {point.name!r} of {package_of(point)}: this project has one of that name" for point in hidden]
    for points in installed_verbs(own).values():
        try:
            the_one(points)
        except ValueError as error:
            lines.append(str(error))
    return lines


def _points() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))


def the_one(points: list[EntryPoint]) -> EntryPoint:
    """The entry point of a verb.

    Raises:
        ValueError: Two packages bring it.
    """
    if len({point.value for point in points}) > 1:
        packages = " and ".join(f"{point.value} of {package_of(point)}" for point in points)
        raise ValueError(f"verb {points[0].name!r}: two packages bring it, {packages}; uninstall one of them")
    return points[0]


def package_of(point: EntryPoint) -> str:
    """Name of the distribution that brings an entry point."""
    return point.dist.name if point.dist is not None else "an unknown package"


def first_line(point: EntryPoint) -> str:
    """First line of the docstring of a verb's function, from its source; else the package's name."""
    for file in _source_files(point):
        try:
            tree = ast.parse(file.read_text())
        except (OSError, SyntaxError, UnicodeDecodeError, ValueError):
            break
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == point.attr:
                lines = (ast.get_docstring(node) or "").splitlines()
                if lines:
                    return f"{lines[0]} ({package_of(point)})"
    return f"({package_of(point)})"


def _source_files(point: EntryPoint) -> Iterator[Path]:
    """Files of an entry point's module, where the path of imports has them: packages are not imported for it."""
    place = Path(*point.module.split("."))
    for folder in (point.dist.locate_file("") if point.dist is not None else "", *sys.path):
        for file in (Path(str(folder)) / place / "__init__.py", Path(str(folder)) / place.with_suffix(".py")):
            if file.is_file():
                yield file
