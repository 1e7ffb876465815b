"""Wrong values in the parser's messages: what was given and all that is allowed, in the words of a config."""

import ast
import difflib
import re

_EXPECTED = re.compile(r"^Expected an? (?P<type>(?:<class |typing\.).+?)(?:\. Got value: (?P<given>.*))?$")
_SUBTYPES = re.compile(r"^(?P<indent>\s*)Subtypes: \[(?P<types>.*)\]$")
_CLASS = re.compile(r"<class '(?:[\w]+\.)*(\w+)'>")
_LITERAL = re.compile(r"typing\.Literal\[([^\]]*)\]")
_NAMES = {"NoneType": "null", "str": "text", "bool": "true or false"}


def wrong_value(message: str, reason: str) -> str:
    """A reason of the parser that a type was expected, with every type of the union that it is one of.

    Args:
        message: The whole message of the parser.
        reason: Its line that was chosen to be shown.
    """
    match = _EXPECTED.match(reason)
    if match is None:
        return reason
    types, given = match["type"], match["given"]
    union = _union_of(message, reason)
    if union is not None:
        types, given = union
    choices, kinds = _choices(types), _kinds(types)
    if not choices and not kinds:
        return reason
    near = difflib.get_close_matches(str(given), choices, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    allowed = ", ".join([*choices, *kinds])
    return f"{given!r} given{hint}; allowed: {allowed}" if given is not None else f"allowed: {allowed}"


def _union_of(message: str, reason: str) -> tuple[str, str | None] | None:
    """Types and given value of the union that a reason is a direct member of."""
    lines = message.splitlines()
    for index, line in enumerate(lines):
        match = _SUBTYPES.match(line)
        if match is None:
            continue
        indent = match["indent"]
        members = [inner for inner in lines[index + 1 :] if inner.startswith(f"{indent}  - ")]
        if f"{indent}  - {reason}" in members and all("Expected a" in member for member in members):
            given = (inner for inner in lines[index:] if inner.startswith(f"{indent}Given value: "))
            value = next(given, None)
            if value is not None:
                value = re.sub(r"\. Got value: Namespace\(.*", "", value).split(": ", 1)[1]
            return match["types"], value
    return None


def _choices(types: str) -> list[str]:
    """Values of all literals."""
    found: list[str] = []
    for group in _LITERAL.findall(types):
        found += [str(value) for value in ast.literal_eval(f"[{group}]")]
    return list(dict.fromkeys(found))


def _kinds(types: str) -> list[str]:
    """Names of all types that are no literals."""
    rest = _LITERAL.sub("", types)
    names = _CLASS.sub(lambda match: _NAMES.get(match[1], match[1]), rest)
    return [name for name in re.split(r",\s*(?![^\[]*\])", names) if name.strip()]
