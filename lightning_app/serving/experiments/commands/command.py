"""Experiment command: `lightning-app experiment SUBCOMMAND`; imports the module of the sub-command that is called."""

from lightning_app.sub_commands import SubCommands, run_sub_command

_HERE = "lightning_app.serving.experiments.commands"
SUBCOMMANDS: SubCommands = {
    "list": (f"{_HERE}.list_command:run", "Running and ended experiments, and shadows."),
    "show": (f"{_HERE}.show:run", "Arms, shares, state and events of one of them."),
    "analyse": (f"{_HERE}.analyse:run", "Effects, assignment, guardrails; report.md with pictures."),
    "stop": (f"{_HERE}.stop:run", "End one of them; promote or roll back a canary."),
    "plan": (f"{_HERE}.plan:run", "Requests and days that an experiment needs."),
}


def run(args: list[str]) -> None:
    """Runs a sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    run_sub_command(args, SUBCOMMANDS, usage="SUBCOMMAND [options]", description="Which model is better, and how sure.")
