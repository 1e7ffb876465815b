"""Value errors of the parser: the rejected value and all allowed ones, in the notation of a config."""

import ast
import difflib
import re

_EXPECTED = re.compile(r"^Expected an? (?P<type>(?:<class |typing\.).+?)(?:\. Got value: (?P<value>.*))?$")
_SUBTYPES = re.compile(r"^(?P<indent>\s*)Subtypes: \[(?P<types>.*)\]$")
_CLASS = re.compile(r"<class '(?:[\w]+\.)*(\w+)'>")
_LITERAL = re.compile(r"typing\.Literal\[([^\]]*)\]")
_NAMES = {"NoneType": "null", "str": "text", "bool": "true or false"}


def wrong_value(message: str, reason: str) -> str:
    """Rewrites `Expected a <type>` so that it names every allowed literal and type of the union.

    Args:
        message: Full message of the parser.
        reason: The line of it that was selected for display.

    Returns:
        The rewritten reason, or `reason` itself if it has another form.
    """
    match = _EXPECTED.match(reason)
    if match is None:
        return reason
    types, value = match["type"], match["value"]
    union = _union_of(message, reason)
    if union is not None:
        types, value = union
    choices, kinds = _choices(types), _kinds(types)
    if not choices and not kinds:
        return reason
    near = difflib.get_close_matches(str(value), choices, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    allowed = ", ".join([*choices, *kinds])
    return f"{value!r} given{hint}; allowed: {allowed}" if value is not None else f"allowed: {allowed}"


def _union_of(message: str, reason: str) -> tuple[str, str | None] | None:
    """Types and rejected value of the union that a reason is a direct member of."""
    lines = message.splitlines()
    for index, line in enumerate(lines):
        match = _SUBTYPES.match(line)
        if match is None:
            continue
        indent = match["indent"]
        members = [inner for inner in lines[index + 1 :] if inner.startswith(f"{indent}  - ")]
        if f"{indent}  - {reason}" in members and all("Expected a" in member for member in members):
            value_lines = (inner for inner in lines[index:] if inner.startswith(f"{indent}Given value: "))
            value = next(value_lines, None)
            if value is not None:
                value = re.sub(r"\. Got value: Namespace\(.*", "", value).split(": ", 1)[1]
            return match["types"], value
    return None


def _choices(types: str) -> list[str]:
    """Values of all literals."""
    values: list[str] = []
    for group in _LITERAL.findall(types):
        values += [str(value) for value in ast.literal_eval(f"[{group}]")]
    return list(dict.fromkeys(values))


def _kinds(types: str) -> list[str]:
    """Names of all types that are not literals."""
    rest = _LITERAL.sub("", types)
    names = _CLASS.sub(lambda match: _NAMES.get(match[1], match[1]), rest)
    return [name for name in re.split(r",\s*(?![^\[]*\])", names) if name.strip()]
