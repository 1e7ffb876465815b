"""Features command: `lightning-app features SUBCOMMAND`; imports the module of the sub-command that is called."""

from lightning_app.sub_commands import SubCommands, run_sub_command

SUBCOMMANDS: SubCommands = {
    "list": ("lightning_app.features_commands.list_features:run", "List the features of a file, one per line."),
    "show": ("lightning_app.features_commands.show:run", "Describe every feature; writes a page."),
    "fit": ("lightning_app.features_commands.fit:run", "Learn fitted features from training rows."),
    "build": (
        "lightning_app.features_commands.build:run",
        "Compute features of a table's rows, each at its time.",
    ),
    "materialize": (
        "lightning_app.features_commands.materialize:run",
        "Bring an online store up to date with its sources.",
    ),
    "get": ("lightning_app.features_commands.get:run", "Look up features of entities in an online store."),
    "verify": (
        "lightning_app.features_commands.verify:run",
        "Prove that online equals batch, and that nothing sees the future.",
    ),
    "select": ("lightning_app.features_commands.select:run", "Keep the features that a label needs."),
    "import-feast": (
        "lightning_app.features_commands.import_feast:run",
        "Write a features file from a Feast repository.",
    ),
}


def run(args: list[str]) -> None:
    """Runs a sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    run_sub_command(
        args,
        SUBCOMMANDS,
        usage="SUBCOMMAND FEATURES.yaml [options]",
        description="One definition of features for training and serving.",
    )
