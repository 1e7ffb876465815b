"""Retrain command: `lightning-app retrain SUBCOMMAND`; imports the module of the sub-command that is called."""

from lightning_app.sub_commands import SubCommands, run_sub_command

_HERE = "lightning_app.retraining.commands"
SUBCOMMANDS: SubCommands = {
    "tick": (f"{_HERE}.tick_command:run", "Advance the cycle of a model as far as it can now; for cron and timers."),
    "watch": (f"{_HERE}.watch:run", "Tick again and again, until it is stopped."),
    "status": (f"{_HERE}.status:run", "How far the cycle is, what it waits for, and until when."),
    "trigger": (f"{_HERE}.trigger:run", "Begin a cycle by hand; or resume after failed ones."),
    "approve": (f"{_HERE}.orders:approve", "Approve a candidate that passed the gates."),
    "reject": (f"{_HERE}.orders:reject", "End the live cycle."),
    "history": (f"{_HERE}.history:run", "Cycles and events of a model."),
    "simulate": (f"{_HERE}.simulate:run", "Replay a policy over history: errors, fits and CPU time beside others."),
}


def run(args: list[str]) -> None:
    """Runs a sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    description = "Train the next version when it is due, and promote it if it is better."
    run_sub_command(args, SUBCOMMANDS, usage="SUBCOMMAND [options]", description=description)
