"""Instantiator of models and data modules: what is linked goes into the hyper-parameters as it was used."""

import inspect
from typing import Any

from lightning.pytorch.cli import _InstantiatorFn
from typing_extensions import override

from lightning_app.cli.links import keep_given_targets, refuse_contradictions
from lightning_app.cli.parser import AppParser
from models.network_arguments import network_arguments


class Instantiator(_InstantiatorFn):
    """Keeps links that a class does not take out of the hyper-parameters, so that its checkpoint can be loaded.

    jsonargparse skips a link whose target the chosen class lacks; the stock code stores it all the same, and stops
    where a network has no argument of its own.
    """

    @override
    def __call__(
        self, class_type: type[Any], *args: Any, applied_instantiation_links: dict[str, Any], **kwargs: Any
    ) -> Any:
        self.cli._dump_config()
        parser = self.cli.parser
        assert isinstance(parser, AppParser)
        given = self.cli.config_dump.get("model", {}).get("init_args") or {}
        chosen = self.cli.config[self.cli.subcommand].get("model")
        if given and chosen is not None and "init_args" in chosen:
            keep_given_targets(chosen.init_args, given, parser.parser_of(str(self.cli.subcommand)).links)
        accepted = _defaults(class_type, "model.init_args")
        for network in network_arguments(class_type):
            if kwargs.get(network) is not None:
                accepted |= _defaults(type(kwargs[network]), f"model.init_args.{network}.init_args")
        links = {key: value for key, value in applied_instantiation_links.items() if key in accepted}
        for target in links:
            network, *inner = target.removeprefix("model.init_args.").split(".")
            if inner and isinstance(given.get(network), dict):
                given[network].setdefault("init_args", {})
        refuse_contradictions(chosen, links, accepted)
        return super().__call__(class_type, *args, applied_instantiation_links=links, **kwargs)


def _defaults(class_type: type[Any], prefix: str) -> dict[str, Any]:
    """The arguments of a class with their defaults."""
    parameters = inspect.signature(class_type).parameters
    return {f"{prefix}.{name}": parameter.default for name, parameter in parameters.items()}
