"""Templates of messages: named fields in braces, filled without running anything."""

import re
import string
from collections.abc import Collection, Iterator, Mapping

from lightning_app.errors import nearest

NUMBERS = ("value", "threshold")
"""Fields that take a format, such as `{value:.3g}`."""
_FORMAT = re.compile(r"(?:\.\d)?[efg%]")
_DEFAULT = ".4g"


def template_problem(template: str, fields: Collection[str]) -> str | None:
    """What is wrong with a template; None if nothing is.

    Args:
        template: The template.
        fields: Names that it may use.
    """
    try:
        parts = list(_parts(template))
    except ValueError as error:
        return f"{template!r}: {error}; a brace itself is written twice"
    for _, name, spec in parts:
        if name is None:
            continue
        if name not in fields:
            return f"{template!r}: no field {name!r}{nearest(name, fields)}; allowed: {', '.join(sorted(fields))}"
        if spec and name not in NUMBERS:
            return f"{template!r}: {name} is a text and takes no format; formats are for {' and '.join(NUMBERS)}"
        if spec and not _FORMAT.fullmatch(spec):
            return f"{template!r}: format {spec!r} given; allowed: e, f, g or %, with decimals, such as .3g or .1%"
    return None


def filled(template: str, texts: Mapping[str, str], numbers: Mapping[str, float | None]) -> str:
    """A template with its fields filled; braces within a value stay as they are.

    Args:
        template: A template without a problem.
        texts: Labels and names; one that is not there is empty.
        numbers: `value` and `threshold`; None is written as `none`.
    """
    result = []
    for literal, name, spec in _parts(template):
        result.append(literal)
        if name in NUMBERS:
            number = numbers.get(name)
            result.append("none" if number is None else format(number, spec or _DEFAULT))
        elif name is not None:
            result.append(texts.get(name, ""))
    return "".join(result)


def for_prometheus(template: str, texts: Mapping[str, str], threshold: float | None) -> str:
    """A template in the language of Prometheus.

    Args:
        template: A template without a problem.
        texts: Fields that are the same for all alerts of the rule; the others are labels.
        threshold: The bound of the rule.
    """
    result = []
    for literal, name, spec in _parts(template):
        result.append(_literal(literal))
        if name == "value" and spec.endswith("%"):
            result.append("{{ $value | humanizePercentage }}")
        elif name == "value":
            result.append('{{ $value | printf "%' + (spec or _DEFAULT) + '" }}')
        elif name == "threshold":
            result.append("none" if threshold is None else format(threshold, spec or _DEFAULT))
        elif name is not None and name in texts:
            result.append(_literal(texts[name]))
        elif name is not None:
            result.append("{{ $labels." + name + " }}")
    return "".join(result)


def _literal(text: str) -> str:
    return text.replace("{", '{{ "{" }}')


def _parts(template: str) -> Iterator[tuple[str, str | None, str]]:
    """Literal text, name of the field after it, and its format.

    Raises:
        ValueError: The template is malformed.
    """
    for literal, name, spec, conversion in string.Formatter().parse(template):
        if conversion:
            raise ValueError(f"!{conversion} is not allowed")
        yield literal, name, spec or ""
