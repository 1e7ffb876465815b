"""Shipped configs: experiments, presets, sweeps, gates and servers that come along, found by their short names."""

import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from lightning_app.errors import UsageError

_INSTALLED = Path(__file__).resolve().parent.parent / "configs"
SHIPPED = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parent.parent / "configs"
"""Where they lie: inside the installed package, or at the top of a checkout."""
_OPTIONS = {"-c": "config", "--config": "config", "--space": "space", "--gates": "gates"}
_LIKE_A_PATH = re.compile(r"[\w./\\~-]+")


def find_config(name: str, *, option: str = "config", tell: bool = True) -> str:
    """The file that a name means: one of the user's, else one of the shipped ones.

    Args:
        name: A path, or the name of a shipped config: `forecasting/co2_phase`, with or without `.yaml`.
        option: What asks, for the message.
        tell: Say on stderr when a user's file hides another one that is shipped.

    Returns:
        Path of the file; what does not look like a path (YAML itself) is given back as it is.

    Raises:
        UsageError: There is no such file.
    """
    shipped = _shipped(name)
    own = next((path for path in (Path(name), Path(f"{name}.yaml")) if _is_file(path)), None)
    if own is not None:
        if tell and shipped is not None and own.read_bytes() != shipped.read_bytes():
            print(  # noqa: T201
                f"{option}: {own} of this folder is used, not the one of that name that comes with lightning-app",
                file=sys.stderr,
            )
        return str(own)
    if shipped is not None:
        return str(shipped)
    if not _LIKE_A_PATH.fullmatch(name):
        return name
    near = difflib.get_close_matches(name.removeprefix("configs/").removesuffix(".yaml"), shipped_names(), n=1)
    guess = f", did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"{option}: {name!r} does not exist, here or among the configs that come along{guess}")


def find_configs(words: Sequence[str], *, tell: bool = True) -> list[str]:
    """A command line with the files in place of the names of its configs.

    Args:
        words: The command line.
        tell: See `find_config`.

    Raises:
        UsageError: A config does not exist.
    """
    found: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        option, equals, value = word.partition("=")
        if before in _OPTIONS:
            found.append(find_config(word, option=_OPTIONS[before], tell=tell))
        elif equals and option in _OPTIONS:
            found.append(f"{option}={find_config(value, option=_OPTIONS[option], tell=tell)}")
        else:
            found.append(word)
    return found


def shipped_names() -> list[str]:
    """Names of all shipped configs, `forecasting/co2_phase` and so on."""
    return sorted(path.relative_to(SHIPPED).with_suffix("").as_posix() for path in SHIPPED.glob("*/*.yaml"))


def _shipped(name: str) -> Path | None:
    path = name.removeprefix("./").removeprefix("configs/").removesuffix(".yaml")
    return SHIPPED / f"{path}.yaml" if path in shipped_names() else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text that is no path, such as YAML, may be too long for one
        return False
