"""Index command: `lightning-app index SUBCOMMAND`."""

from lightning_app.sub_commands import SubCommands, run_sub_command

_COMMANDS: SubCommands = {
    "build": ("lightning_app.retrieval.commands.build:run", "Embed a table of texts with a package."),
    "add": ("lightning_app.retrieval.commands.add:run", "Add the rows of a further table."),
    "ask": ("lightning_app.retrieval.commands.ask:run", "Find the rows nearest to a text, or to a row."),
    "show": ("lightning_app.retrieval.commands.show:run", "Verify an index, and say what it holds."),
}


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: Command line, verb first.
    """
    run_sub_command(
        args,
        _COMMANDS,
        usage="SUBCOMMAND [options]",
        description="Search a table of texts by the embeddings of a package.",
    )
