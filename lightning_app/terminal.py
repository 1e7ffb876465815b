"""Terminal: the one place that decides how wide and how commands print, and JSON in place of tables.

A terminal has its own width; where it is narrow, cells go on in the next line and no word is lost. Elsewhere (a pipe, a
file) a line of a table is a line of text, however long, unless `COLUMNS` is set. Text of strangers is shown as it is,
and never carried out: names, labels, reasons and values of packages, registries and tables may hold escape codes, which
move the cursor, set the window's title or hide text, and Rich's markup.
"""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDE = 10_000
"""Columns of what is no terminal."""

_TURNING = (0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Turn the direction of what follows, or end the line."""
_SHOWN = {code: f"\\x{code:02x}" for code in (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))}
_SHOWN |= {code: f"\\u{code:04x}" for code in _TURNING}


def plain(text: str) -> str:
    """A text with its control characters written out; lines and tabs stay.

    Args:
        text: Whatever it is.
    """
    return text.translate(_SHOWN).encode("utf-8", "backslashreplace").decode("utf-8")


def plain_console(*, stderr: bool = False) -> "Console":
    """The console of a command: prints text as it stands, in tables too, without markup and escape codes.

    Args:
        stderr: Print there.
    """
    from rich.console import Console

    class PlainConsole(Console):
        def render_str(self, text: str, **style: Any) -> Any:
            return super().render_str(plain(text), **style)

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else _WIDE
    return PlainConsole(stderr=stderr, width=width, soft_wrap=True, markup=False, emoji=False, highlight=False)


def show(*tables: "Table") -> None:
    """Prints tables; no cell is cut.

    Args:
        tables: In their order.
    """
    for table in tables:
        for column in table.columns:
            column.overflow = "fold"
        console = plain_console()
        with console.capture() as captured:
            console.print(table)
        for line in captured.get().splitlines():
            print(line.rstrip())  # noqa: T201  # Rich pads each line to the longest


def print_json(value: Any) -> None:
    """Prints plain data as JSON, numbers that are not finite as null.

    Args:
        value: Mappings, lists, texts, numbers; anything else as text.
    """
    print(json.dumps(_finite(value), indent=2, default=str))  # noqa: T201


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def only_result(as_json: bool) -> Iterator[None]:
    """Where JSON was asked for, everything else that is printed meanwhile goes to stderr.

    Args:
        as_json: Whether it was.
    """
    if not as_json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield
