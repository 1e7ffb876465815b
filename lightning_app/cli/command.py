"""Command: one of the four training verbs from its command line to its end."""

from collections.abc import Callable

from lightning.pytorch.utilities.exceptions import SIGTERMException

from callbacks.checkpoints import SIGTERM_EXIT_CODE
from lightning_app.cli.app_cli import AppCLI
from lightning_app.cli.quiet_libraries import quiet
from lightning_app.cli.tracking_end import finish_tracking
from lightning_app.errors import UsageError


def run(args: list[str], *, command: Callable[[list[str]], AppCLI] | None = None) -> AppCLI:
    """Runs one of the four verbs.

    Args:
        args: The command line, verb first.
        command: What reads it; None takes `AppCLI`.

    Returns:
        The finished command, with its model, data module, trainer and run folder.

    Raises:
        ValueError: The command line, a config, a checkpoint or the data is wrong.
    """
    quiet()
    try:
        finished = (command or AppCLI)(args)
    except BaseException as error:
        finish_tracking(error)
        if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error  # Lightning makes an exit with code 1 of it
        if isinstance(error, SIGTERMException):
            raise SystemExit(SIGTERM_EXIT_CODE) from error
        if isinstance(error, RuntimeError) and "Error(s) in loading state_dict" in str(error):
            raise UsageError(f"ckpt_path: the checkpoint does not fit the model: {error}") from error
        raise
    finish_tracking()
    return finished
