"""Selectors: which labels a rule, a sink or a silence is for."""

import re
from collections.abc import Mapping

from lightning_app.monitoring.config.alert_rules import Selector


def matches(select: Mapping[str, Selector], labels: Mapping[str, str]) -> bool:
    """Whether all labels fit; one that is not there counts as empty.

    Args:
        select: Values of labels.
        labels: The labels.
    """
    return all(_fits(selector, labels.get(name, "")) for name, selector in select.items())


def pattern(selector: Selector) -> str:
    """Regular expression of a selector, in the dialect that Python and Prometheus share.

    Args:
        selector: The selector.
    """
    values = (selector,) if isinstance(selector, str) else selector
    return "|".join(".*".join(_escaped(part) for part in value.split("*")) for value in values)


def exact(selector: Selector) -> str | None:
    """The only value that fits; None if several do.

    Args:
        selector: The selector.
    """
    values = (selector,) if isinstance(selector, str) else selector
    return values[0] if len(values) == 1 and "*" not in values[0] else None


def _fits(selector: Selector, text: str) -> bool:
    only = exact(selector)
    return text == only if only is not None else re.fullmatch(pattern(selector), text, re.DOTALL) is not None


def _escaped(text: str) -> str:
    return re.sub(r"[\\.+?()\[\]{}|^$]", r"\\\g<0>", text)
