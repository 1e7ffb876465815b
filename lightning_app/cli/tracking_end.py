"""End of tracking: a W&B run is finished with the exit code of the command."""

from lightning_app.runs.tracking import finish_wandb


def finish_tracking(error: BaseException | None = None) -> None:
    """Finishes the W&B run of a command, if there is one.

    Args:
        error: What ended the command; None where it succeeded.
    """
    finish_wandb(exit_code=0 if error is None else _exit_code(error))


def _exit_code(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    return 1
