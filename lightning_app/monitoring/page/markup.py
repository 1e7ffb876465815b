"""Markup of the page: elements whose texts and attributes are escaped, so that data can never become markup."""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TypeAlias

from lightning_app.terminal import plain

Attributes: TypeAlias = Mapping[str, object]
"""Texts, numbers and booleans; None, False and empty texts leave an attribute out."""


class Markup(str):
    """Text that is markup already; any other text is escaped by `element`."""

    __slots__ = ()


Child: TypeAlias = str | None
"""Text, or `Markup`; None is left out."""

_BREAKS = re.compile(r"(?<=[._])(?=.)")
_EMPTY = frozenset({"meta", "br", "link", "wbr"})


def element(name: str, attributes: Attributes | None = None, *children: Child) -> Markup:
    """An element of HTML or SVG.

    Args:
        name: Tag.
        attributes: Values by name; True writes the name alone.
        children: Content, in this order.
    """
    words = [name, *(_attribute(key, value) for key, value in (attributes or {}).items() if _is_given(value))]
    opened = f"<{' '.join(words)}>"
    return Markup(opened if name in _EMPTY else f"{opened}{joined(children)}</{name}>")


def joined(children: Iterable[Child]) -> Markup:
    """Elements and texts one after the other.

    Args:
        children: Texts are escaped.
    """
    return Markup("".join(_content(child) for child in children if child is not None))


def breakable(name: str) -> Markup:
    """A long name that may be broken after its dots and underscores.

    Args:
        name: The name.
    """
    parts = _BREAKS.split(name)
    return joined(part for place, one in enumerate(parts) for part in ([element("wbr"), one] if place else [one]))


def table(
    head: Sequence[tuple[str, str | None]],
    rows: Iterable[Sequence[Child]],
    *,
    caption: str,
    css: str = "",
) -> Markup:
    """A table whose first cell of each row is its header; on narrow screens each row becomes a block.

    Args:
        head: Names of the columns with their CSS classes.
        rows: Cells.
        caption: What the table holds; read by screen readers, not shown.
        css: Further CSS classes of the table.
    """
    names = element("tr", None, *(element("th", {"scope": "col", "class": kind}, name) for name, kind in head))
    body = []
    for row in rows:
        cells = [
            element(
                "td" if place else "th",
                {"scope": None if place else "row", "class": kind, "data-name": name if place else None},
                element("span", None, cell) if isinstance(cell, Markup) else cell,
            )
            for place, ((name, kind), cell) in enumerate(zip(head, row, strict=True))
        ]
        body.append(element("tr", None, *cells))
    content = element("table", {"class": f"data {css}".strip()},
        element("caption", {"class": "unseen"}, caption),
        element("thead", None, names),
        element("tbody", None, *body),
    )  # fmt: skip
    return element("div", {"class": "tables", "tabindex": 0, "role": "region", "aria-label": caption}, content)


def _is_given(value: object) -> bool:
    return value is not None and value is not False and value != ""


def _attribute(name: str, value: object) -> str:
    if value is True:
        return name
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f'{name}="{escape(plain(text))}"'


def _content(child: str) -> str:
    return child if isinstance(child, Markup) else escape(plain(child))
