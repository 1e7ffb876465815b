"""Data command: `lightning-app data SUBCOMMAND`; imports the module of the sub-command that is called."""

from collections.abc import Callable
from importlib import import_module

from lightning_app.errors import UsageError, nearest

SUBCOMMANDS: dict[str, tuple[str, str]] = {
    "check": ("lightning_app.data_commands.check:run", "Check a table against a contract; move bad rows aside."),
    "profile": ("lightning_app.data_commands.profile:run", "Describe a table; --output drafts a contract it keeps."),
    "snapshot": ("lightning_app.data_commands.snapshot:run_snapshot", "Keep a table as it is, under its sha256."),
    "list": ("lightning_app.data_commands.snapshot:run_list", "List the snapshots of a store."),
    "show": ("lightning_app.data_commands.snapshot:run_show", "Describe a snapshot; verify its files."),
    "diff": ("lightning_app.data_commands.diff:run", "Say what changed between two tables or snapshots."),
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
        raise UsageError(f"data: {given}, allowed: {', '.join(SUBCOMMANDS)}")
    module, name = SUBCOMMANDS[words[0]][0].split(":")
    function: Callable[[list[str]], object] = getattr(import_module(module), name)
    function([f"data {words[0]}", *words[1:]])


def _help() -> str:
    lines = "\n".join(f"  {name:<14}{text}" for name, (_, text) in SUBCOMMANDS.items())
    return (
        f"usage: lightning-app data SUBCOMMAND [options]\n\nDescribe and check tables.\n\nsub-commands:\n{lines}\n\n"
        "options:\n  SUBCOMMAND --help    the options of a sub-command"
    )
