"""Page of features: a description of each, in Markdown or HTML."""

import html
from collections.abc import Iterator, Mapping, Sequence

from features.definitions import Definitions
from lightning_app.features_commands.catalog import CatalogEntry
from lightning_app.features_commands.statistics import as_lines

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2rem .6rem;text-align:left;vertical-align:top}"
    "code{background:#f4f4f4}"
)


def markdown_page(definitions: Definitions, entries: Sequence[CatalogEntry], *, title: str) -> str:
    """The page in Markdown.

    Args:
        definitions: Where the features are defined.
        entries: The features.
        title: Heading.
    """
    lines = [f"# {title}", ""]
    for level, name, description, facts in _sections(definitions, entries):
        lines += [f"{'#' * level} {name}", ""]
        lines += [description, ""] if description else []
        lines += ["| | |", "|---|---|"]
        lines += [f"| {key} | {_cell(value, code=key == 'definition')} |" for key, value in facts]
        lines.append("")
    return "\n".join([*lines, f"Definitions: `{definitions.digest}`", ""])


def html_page(definitions: Definitions, entries: Sequence[CatalogEntry], *, title: str) -> str:
    """The page in HTML, one file without scripts.

    Args:
        definitions: Where the features are defined.
        entries: The features.
        title: Heading.
    """
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for level, name, description, facts in _sections(definitions, entries):
        parts.append(f'<h{level} id="{html.escape(name)}">{html.escape(name)}</h{level}>')
        parts += [f"<p>{html.escape(description)}</p>"] if description else []
        rows = "".join(f"<tr><th>{html.escape(key)}</th><td>{html.escape(value)}</td></tr>" for key, value in facts)
        parts.append(f"<table>{rows}</table>")
    body = "\n".join([*parts, f"<p>Definitions: <code>{definitions.digest}</code></p>"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _sections(
    definitions: Definitions, entries: Sequence[CatalogEntry]
) -> Iterator[tuple[int, str, str, list[tuple[str, str]]]]:
    """Level, heading, description and facts: a view, then its features."""
    last = None
    for entry in entries:
        name = entry.name.partition(".")[0]
        if name != last:
            view, last = definitions.views[name], name
            keys = definitions.entities[view.entity].keys if view.entity else {}
            facts = {
                "entity": f"{view.entity} ({', '.join(f'{key}: {kind}' for key, kind in keys.items())})"
                if keys
                else "",
                "source": view.source or "",
                "request": _typed({key: column.type for key, column in view.request.items()}),
                "time to live": view.ttl or "",
                "owner": view.owner,
            }
            yield 2, name, view.description, [(key, value) for key, value in facts.items() if value]
        facts = {"type": entry.type, "unit": entry.unit, "owner": entry.owner, "definition": entry.definition}
        facts["used by"] = ", ".join(entry.used_by)
        lines = [(key, value) for key, value in facts.items() if value]
        lines += as_lines(entry.statistics) if entry.statistics is not None else []
        yield 3, entry.name, entry.description, lines


def _typed(types: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {kind}" for key, kind in types.items())


def _cell(value: str, *, code: bool) -> str:
    text = value.replace("|", "\\|").replace("\n", " ")
    return f"`{text}`" if code else text
