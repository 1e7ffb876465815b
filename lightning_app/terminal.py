"""Terminal output of text that strangers wrote: shown as it is, never carried out.

Names, labels, reasons and values of packages, registries and tables may hold escape codes, which move the cursor, set
the window's title or hide text, and Rich's markup.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

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


def plain_console(*, width: int | None = None, soft_wrap: bool = False) -> "Console":
    """A console that prints text as it stands, in tables too: no markup, no escape codes.

    Args:
        width: In columns; None takes that of the terminal.
        soft_wrap: Leave lines as long as they are.
    """
    from rich.console import Console

    class PlainConsole(Console):
        def render_str(self, text: str, **style: Any) -> Any:
            return super().render_str(plain(text), **style)

    return PlainConsole(markup=False, emoji=False, width=width, soft_wrap=soft_wrap)
