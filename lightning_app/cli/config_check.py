"""Check of a config before hours of work: whether model, data and callbacks can be made of it."""

from typing import Any

from lightning.pytorch import Trainer
from typing_extensions import override

from lightning_app.cli import AppCLI
from lightning_app.cli.links import leave_calendar_out
from lightning_app.errors import UsageError


class _Check(AppCLI):
    """Reads a config and makes its parts; no run folder, and nothing is run."""

    @override
    def before_instantiate_classes(self) -> None:
        """Makes no run folder."""
        leave_calendar_out(self.config[self.config.subcommand])

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)

    @override
    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing."""


def check_config(config: str, options: list[str]) -> None:
    """Raises what a fit of a config would raise before it starts.

    Args:
        config: The config file.
        options: Further options of the fit.

    Raises:
        UsageError: The message names the file.
    """
    try:
        _Check(["fit", "-c", config, *options])
    except ValueError as error:
        if config in str(error):
            raise
        raise UsageError(f"{config}: {error}") from error
