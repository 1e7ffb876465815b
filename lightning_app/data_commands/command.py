"""Data command: `lightning-app data SUBCOMMAND`; imports the module of the sub-command that is called."""

from lightning_app.sub_commands import SubCommands, run_sub_command

SUBCOMMANDS: SubCommands = {
    "check": ("lightning_app.data_commands.check:run", "Check a table against a contract; move bad rows aside."),
    "profile": ("lightning_app.data_commands.profile:run", "Describe a table; --output drafts a contract it keeps."),
    "snapshot": ("lightning_app.data_commands.snapshot:run_snapshot", "Keep a table as it is, under its sha256."),
    "list": ("lightning_app.data_commands.snapshot:run_list", "List the snapshots of a store."),
    "show": ("lightning_app.data_commands.snapshot:run_show", "Describe a snapshot; verify its files."),
    "diff": ("lightning_app.data_commands.diff:run", "Say what changed between two tables or snapshots."),
}


def run(args: list[str]) -> None:
    """Runs a sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    run_sub_command(args, SUBCOMMANDS, usage="SUBCOMMAND [options]", description="Describe and check tables.")
