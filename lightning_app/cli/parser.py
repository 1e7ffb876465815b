"""What LightningCLI's parser does wrong for us, put right in one place; each fix has a test in test_cli.py."""

import inspect
from typing import Any

import jsonargparse
import torch
from jsonargparse import _typehints
from jsonargparse._typehints import resolve_class_path_by_name
from jsonargparse._util import parse_value_or_config
from jsonargparse.typing import register_type
from lightning.pytorch.cli import LightningArgumentParser, _InstantiatorFn
from typing_extensions import override

from lightning_app.errors import UsageError, simplify
from lightning_app.moved_modules import current_class_path

# Without it a config that is saved holds "Unable to serialize instance cpu" for a device, and cannot be read again.
register_type(torch.device, str, torch.device)

NETWORK_SLOTS = ("network", "encoder")
"""Arguments of a model that hold the network which it trains."""

LINKS = (
    "num_channels",
    "num_past_covariates",
    "num_future_covariates",
    "num_static_covariates",
    "look_back",
    "horizon",
    "chunk_size",
    "vocab_size",
    "seq_len",
    "num_features",
    "num_classes",
    "num_targets",
    "output_size",
    "edge_types",
    "target_type",
)
"""Constructor arguments of the model and its network that the data module knows; who lacks one is left alone."""


class AppParser(LightningArgumentParser):
    """Raises one clear line where the stock parser prints its usage and a tree of reasons."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # argparse would take --trainer.max_epoch for --trainer.max_epochs: a typo must not be a guess.
        super().__init__(*args, allow_abbrev=False, **kwargs)

    @override
    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        if not self.exit_on_error:
            super().error(message, ex)
        raise UsageError(simplify(message, self.options())) from ex

    def options(self) -> list[str]:
        """All options that it or one of its subcommands knows, `--trainer.max_epochs` and so on."""
        subcommands = self._subcommands_action.choices.values() if self._subcommands_action is not None else ()
        return [
            option for parser in (self, *subcommands) for action in parser._actions for option in action.option_strings
        ]


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
        given = self.cli.config_dump.get("model", {}).get("init_args") or {}
        chosen = self.cli.config[self.cli.subcommand].get("model")
        if given and chosen is not None and "init_args" in chosen:
            keep_given_targets(chosen.init_args, given)
        accepted = _defaults(class_type, "model.init_args")
        for slot in NETWORK_SLOTS:
            if isinstance(given.get(slot), dict):
                given[slot].setdefault("init_args", {})
            if slot in kwargs:
                accepted |= _defaults(type(kwargs[slot]), f"model.init_args.{slot}.init_args")
        links = {key: value for key, value in applied_instantiation_links.items() if key in accepted}
        _refuse_contradictions(chosen, links, accepted)
        return super().__call__(class_type, *args, applied_instantiation_links=links, **kwargs)


def _defaults(class_type: type[Any], prefix: str) -> dict[str, Any]:
    """The arguments of a class with their defaults."""
    parameters = inspect.signature(class_type).parameters
    return {f"{prefix}.{name}": parameter.default for name, parameter in parameters.items()}


def _refuse_contradictions(
    model: jsonargparse.Namespace | None, links: dict[str, Any], defaults: dict[str, Any]
) -> None:
    """Jsonargparse lets a link win over what the user gave, without a word."""
    for key, linked in links.items():
        given = None if model is None else model.get(key.removeprefix("model."))
        if given not in (None, linked, defaults[key]):
            name = key.replace(".init_args", "")
            raise UsageError(f"{name}: {given} given, but the data has {linked}; leave it out")


def keep_given_targets(config: jsonargparse.Namespace, dumped: dict[str, Any]) -> None:
    """Puts link targets that the user gave into a dump, which leaves out every target.

    Where the data module does not know a value (the width of an encoder of links), what was given is what counts.

    Args:
        config: Arguments of the model.
        dumped: The same as plain data, changed in place.
    """
    dumped.update({name: config[name] for name in LINKS if config.get(name) is not None})
    for slot in NETWORK_SLOTS:
        network = config.get(slot)
        if isinstance(network, jsonargparse.Namespace) and "init_args" in network:
            inner = dumped[slot].setdefault("init_args", {})
            inner.update({name: network.init_args[name] for name in LINKS if network.init_args.get(name) is not None})


class FreshArguments:
    """Reads what was given as it was given.

    Drops all arguments of a class when a later file or option names another class in its place: jsonargparse keeps
    those that the new class also accepts, `--model.optimizer Adam` over a config with `SGD(lr=0.3)` would give
    `Adam(lr=0.3)`. And it turns a nested option into text twice, so that `null` would become the text `None`.
    Former names of renamed classes become the present ones.
    """

    def __enter__(self) -> None:
        self._originals = {name: vars(_typehints)[name] for name in _REPLACEMENTS}
        vars(_typehints).update(_REPLACEMENTS)

    def __exit__(self, *error: object) -> None:
        vars(_typehints).update(self._originals)


def _discard_all(parser_or_action: Any, prev_val: Any, value: Any) -> None:  # noqa: ARG001
    if prev_val and "init_args" in prev_val and prev_val["class_path"] != value["class_path"]:
        prev_val["init_args"] = jsonargparse.Namespace()


def _parse_once(value: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """Keeps the word of a nested option where its value, made a word again, would be another one: null, 007, 1e3."""
    parsed, path = parse_value_or_config(value, *args, **kwargs)
    is_word = isinstance(value, _typehints.NestedArg) and isinstance(value.val, str)
    if is_word and path is None and not isinstance(parsed.val, dict | list) and str(parsed.val) != value.val:
        return value, None
    return parsed, path


def _resolve_present_name(cls: Any, name: str) -> str:
    return resolve_class_path_by_name(cls, current_class_path(name))


_REPLACEMENTS = {
    "discard_init_args_on_class_path_change": _discard_all,
    "parse_value_or_config": _parse_once,
    "resolve_class_path_by_name": _resolve_present_name,
}
"""Functions of jsonargparse that `FreshArguments` replaces."""
