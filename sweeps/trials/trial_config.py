"""Config of a trial: the base config with the sampled values applied."""

import contextlib
import io
from collections.abc import Mapping
from typing import Any

import yaml
from lightning.pytorch import Trainer
from typing_extensions import override

from lightning_app.cli.installed_classes import import_named_classes
from lightning_app.cli.links import link_data_to_model
from lightning_app.cli.parser import FreshArguments
from lightning_app.errors import UsageError
from sweeps.space.parameter import Parameter
from sweeps.space.search_space import SearchSpace
from sweeps.trials.cli_value import cli_value
from sweeps.trials.fit_parser import FitParser


class ConfigReader(FitParser):
    """Reads configs as `lightning-app fit` would, and makes nothing of them.

    Args:
        args: Words of the fit after its verb: config files and options.
    """

    def __init__(self, args: list[str]) -> None:
        self.given = args
        super().__init__(["fit", *args])

    @override
    def _add_instantiators(self) -> None:
        """Nothing: they are for whoever makes something of the config."""

    @override
    def before_instantiate_classes(self) -> None:
        """Nothing: no run folder is made."""

    @override
    def instantiate_classes(self) -> None:
        """Nothing."""

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        raise AssertionError

    @override
    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing."""

    def resolve(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The whole config with values in place of its own, as plain data.

        Args:
            drawn: Values by dotted key.

        Raises:
            UsageError: A key is not in the config's schema, or a value does not fit there.
        """
        words = [f"--{key}={cli_value(value)}" for key, value in drawn.items()]
        args = ["fit", *self.given, *words]
        import_named_classes(words)
        link_data_to_model(self.parser, args)
        with FreshArguments(), contextlib.redirect_stderr(io.StringIO()):
            config = self.parser.parse_args(args)
        dumped = yaml.safe_load(self.parser.dump(config, skip_link_targets=True, skip_none=False))["fit"]
        for name in ("config", "ckpt_path", "weights_only", "verbose", "trust", "allow_changed_data"):
            dumped.pop(name, None)
        return dict(dumped)


def check_space(space: SearchSpace, reader: ConfigReader) -> None:
    """Tries every parameter of a space on the config's schema: both ends of a range, each choice.

    Args:
        space: The space.
        reader: Reads the config that it varies.

    Raises:
        UsageError: A key or a value does not fit; the message is the one that the command line would give.
    """
    for parameter in space.parameters:
        others = space.witness(parameter)
        for value in _samples(parameter):
            drawn = {**others, parameter.key: value}
            try:
                reader.resolve(drawn)
            except UsageError as error:
                if not _works(reader, space.completed(drawn)):
                    raise UsageError(f"space.{parameter.key}: {value!r}: {error}") from error


def _works(reader: ConfigReader, drawn: Mapping[str, Any]) -> bool:
    """Whether a whole point does: a class may need arguments that vary with it."""
    try:
        reader.resolve(drawn)
    except UsageError:
        return False
    return True


def _samples(parameter: Parameter) -> list[Any]:
    return [parameter.low, parameter.high] if parameter.is_number else list(parameter.choices)
