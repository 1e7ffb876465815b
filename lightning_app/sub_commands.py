"""Sub-commands of a verb: a table of functions by name, each imported when it is called."""

from collections.abc import Callable, Mapping
from importlib import import_module

from lightning_app.errors import UsageError, nearest

SubCommands = Mapping[str, tuple[str, str]]
"""Function of each sub-command as `module:function`, called with its own words, and one line for `--help`."""


def run_sub_command(args: list[str], commands: SubCommands, *, usage: str, description: str) -> None:
    """Runs a sub-command, or prints the list of them.

    Args:
        args: Command line, verb first.
        commands: The sub-commands.
        usage: What follows the verb in the usage line.
        description: One line for `--help`.

    Raises:
        UsageError: The sub-command is missing or unknown.
    """
    verb, *words = args
    if words[:1] in (["-h"], ["--help"]):
        lines = "\n".join(f"  {name:<14}{text}" for name, (_, text) in commands.items())
        print(  # noqa: T201
            f"usage: lightning-app {verb} {usage}\n\n{description}\n\nsub-commands:\n{lines}\n\n"
            "options:\n  SUBCOMMAND --help    the options of a sub-command"
        )
        return
    if not words or words[0] not in commands:
        given = f"{words[0]!r} given{nearest(words[0], commands)}" if words else "no sub-command given"
        raise UsageError(f"{verb}: {given}, allowed: {', '.join(commands)}")
    module, name = commands[words[0]][0].split(":")
    function: Callable[[list[str]], object] = getattr(import_module(module), name)
    function([f"{verb} {words[0]}", *words[1:]])
