"""Journal command: `lightning-app journal SUBCOMMAND`; imports the module of the sub-command that is called."""

from lightning_app.sub_commands import SubCommands, run_sub_command

SUBCOMMANDS: SubCommands = {
    "show": ("lightning_app.serving.journal.commands.show:run", "Count predictions by model, version and day."),
    "export": ("lightning_app.serving.journal.commands.export_rows:run", "Write a training set, a row per answer."),
    "prune": ("lightning_app.serving.journal.commands.prune:run", "Delete what is older than a time."),
    "replay": ("lightning_app.serving.journal.commands.replay_files:run", "Write spill files to the journal."),
}


def run(args: list[str]) -> None:
    """Runs a sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    run_sub_command(
        args, SUBCOMMANDS, usage="SUBCOMMAND URL [options]", description="What a server answered, and what came of it."
    )
