"""Terminal output: width and escaping of everything that commands print, and JSON instead of tables.

On a terminal, tables fit its width and long cells wrap, so no text is lost. Elsewhere (pipe, file) each row is one
line, however long, unless `COLUMNS` is set. Names, labels, reasons and values from packages, registries and tables are
untrusted: escape codes that move the cursor, set the window title or hide text, and Rich markup, are printed literally.
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
"""Width in columns where the output is no terminal."""

_BIDIRECTIONAL = (0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Code points that change the direction of the text after them, or end the line."""
_SHOWN = {code: f"\\x{code:02x}" for code in (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))}
_SHOWN |= {code: f"\\u{code:04x}" for code in _BIDIRECTIONAL}


def plain(text: str) -> str:
    """Escapes control characters in a text; line breaks and tabs stay.

    Args:
        text: Untrusted text.
    """
    return text.translate(_SHOWN).encode("utf-8", "backslashreplace").decode("utf-8")


def plain_console(*, stderr: bool = False) -> "Console":
    """A console that prints text literally, also in tables: no markup, no escape codes.

    Args:
        stderr: Print to stderr instead of stdout.
    """
    from rich.console import Console

    class PlainConsole(Console):
        def render_str(self, text: str, **style: Any) -> Any:
            return super().render_str(plain(text), **style)

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else _WIDE
    return PlainConsole(stderr=stderr, width=width, soft_wrap=True, markup=False, emoji=False, highlight=False)


def show(*tables: "Table") -> None:
    """Prints tables to stdout without truncating any cell.

    Args:
        tables: Tables, printed in this order.
    """
    for table in tables:
        for column in table.columns:
            column.overflow = "fold"
        console = plain_console()
        with console.capture() as captured:
            console.print(table)
        for line in captured.get().splitlines():
            print(line.rstrip())  # noqa: T201  # Rich pads each line to the width of the longest


def print_json(value: Any) -> None:
    """Prints data as indented JSON on stdout; numbers that are not finite become null.

    Args:
        value: Mappings, lists, strings and numbers; anything else is converted to a string.
    """
    print(json.dumps(finite(value), indent=2, default=str))  # noqa: T201


def finite(value: Any) -> Any:
    """Data as JSON can hold it: numbers that are not finite become None, keys become texts.

    Args:
        value: Mappings, lists and plain values.
    """
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def only_result(as_json: bool) -> Iterator[None]:
    """Redirects stdout to stderr inside the block if the result is to be JSON, so that stdout holds nothing else.

    Args:
        as_json: Whether JSON was asked for.
    """
    if not as_json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield
