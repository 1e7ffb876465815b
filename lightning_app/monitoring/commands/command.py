"""Monitor command: `lightning-app monitor SUBCOMMAND`; imports the module of the sub-command that is called."""

from lightning_app.sub_commands import SubCommands, run_sub_command

_HERE = "lightning_app.monitoring.commands"
SUBCOMMANDS: SubCommands = {
    "report": (f"{_HERE}.report:run", "Drift, quality and causes as one HTML page and a JSON."),
    "serve": (f"{_HERE}.serve:run", "The same page and its metrics over HTTP, always up to date."),
    "alerts": (f"{_HERE}.alerts:run", "Alerts that hold, and whom they were sent to."),
    "silence": (f"{_HERE}.silence:run", "Do not send some alerts for a while."),
    "rules": (f"{_HERE}.rules:run", "Check alert rules; write them for Prometheus."),
    "reference": (f"{_HERE}.reference:run", "Make a drift reference of a package from a table."),
}


def run(args: list[str]) -> None:
    """Runs a sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    run_sub_command(args, SUBCOMMANDS, usage="SUBCOMMAND [options]", description="What was served, watched.")
