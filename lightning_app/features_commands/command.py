"""Features command: `lightning-app features SUBCOMMAND`; imports the module of the sub-command that is called."""

from collections.abc import Callable
from importlib import import_module

from lightning_app.errors import UsageError, nearest

SUBCOMMANDS: dict[str, tuple[str, str]] = {
    "list": ("lightning_app.features_commands.list_features:run", "List the features of a file, one per line."),
    "show": ("lightning_app.features_commands.show:run", "Describe every feature; writes a page."),
    "import-feast": (
        "lightning_app.features_commands.import_feast:run",
        "Write a features file from a Feast repository.",
    ),
}
"""Function of each sub-command as `module:function`, called with its own words, and one line for `--help`."""


def run(args: list[str]) -> None:
    """Runs a sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: The sub-command is missing or unknown.
    """
    words = args[1:]
    if words[:1] in (["-h"], ["--help"]):
        print(_help())  # noqa: T201
        return
    if not words or words[0] not in SUBCOMMANDS:
        given = f"{words[0]!r} given{nearest(words[0], SUBCOMMANDS)}" if words else "no sub-command given"
        raise UsageError(f"features: {given}, allowed: {', '.join(SUBCOMMANDS)}")
    module, name = SUBCOMMANDS[words[0]][0].split(":")
    function: Callable[[list[str]], object] = getattr(import_module(module), name)
    function([f"features {words[0]}", *words[1:]])


def _help() -> str:
    lines = "\n".join(f"  {name:<14}{text}" for name, (_, text) in SUBCOMMANDS.items())
    return (
        "usage: lightning-app features SUBCOMMAND FEATURES.yaml [options]\n\n"
        f"One definition of features for training and serving.\n\nsub-commands:\n{lines}\n\n"
        "options:\n  SUBCOMMAND --help    the options of a sub-command"
    )
