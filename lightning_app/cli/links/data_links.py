"""Links: arguments of a model and its networks that the data module knows, such as `num_channels` and `horizon`.

A data module names them in `model_arguments` (see `BaseDataModule`). jsonargparse needs its links before it reads a
config, so the classes of the data and of the model are looked up in the command line and its config files first.
"""

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace, _typehints
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningCLI, _InstantiatorFn
from typing_extensions import override

from lightning_app.cli.links.part_links import PartInstantiator
from lightning_app.cli.parser import AppParser
from lightning_app.errors import UsageError
from models.network_arguments import network_arguments

_CONFIG = ("-c", "--config")
_UNDECLARED = (
    "num_channels", "num_past_covariates", "num_future_covariates", "num_static_covariates", "look_back", "horizon",
    "chunk_size", "vocab_size", "seq_len", "num_features", "num_classes", "num_targets", "output_size", "edge_types",
    "target_type",
)  # fmt: skip
"""Attributes that are linked of a data module without `model_arguments`, which may be older than that."""


def link_data_to_model(parser: ArgumentParser, args: Sequence[str]) -> None:
    """Adds the links of the data modules and models that a command line names to the parser of its verb.

    Args:
        parser: The parser of all verbs; links that it has already stay.
        args: The command line, verb first.
    """
    assert isinstance(parser, AppParser)
    verb = parser.parser_of(args[0])
    if verb is parser:  # no verb: the parser says so
        return
    data_classes = _classes(args, "data", LightningDataModule)
    model_classes = _classes(args, "model", LightningModule)
    names = dict.fromkeys(name for kind in data_classes for name in model_arguments(kind) or _UNDECLARED)
    networks = dict.fromkeys(name for kind in model_classes for name in network_arguments(kind))
    owners = ["model.init_args", *(f"model.init_args.{network}.init_args" for network in networks)]
    targets = {f"{owner}.{name}": f"data.{name}" for name in names for owner in owners}
    for target, source in targets.items():
        if target not in verb.links:
            verb.link_arguments(source, target, apply_on="instantiate")
            verb.links.append(target)


def model_arguments(data_class: Any) -> Sequence[str]:
    """Names of the attributes that a class of data modules has for models, see `BaseDataModule.model_arguments`.

    Raises:
        UsageError: They are one text instead of a tuple.
    """
    names = getattr(data_class, "model_arguments", ())
    if isinstance(names, str):
        raise UsageError(
            f'data: {data_class.__name__}.model_arguments: {names!r} given, a tuple such as ("{names}",) is needed'
        )
    return names


def _classes(args: Sequence[str], key: str, base: type) -> list[Any]:
    """The classes that a command line names for a key; None among them stands for one that cannot be imported."""
    return list(dict.fromkeys(_class(value, base) for value in _values(args, key))) or [None]


def _values(args: Sequence[str], key: str) -> Iterator[str]:
    """Class names in the values of a key, in config files, options, and files that these name."""
    for word, following in zip(args, [*args[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        value = value if equals else following
        if option in _CONFIG:
            path = Path(value)
            section = _load(path)
            if isinstance(section, dict):
                yield from _class_names(section.get(key), path.parent)
        elif option in (f"--{key}", f"--{key}.class_path"):
            yield from _class_names(_parse(value), Path())


def _class_names(value: Any, folder: Path) -> Iterator[str]:
    if isinstance(value, dict):
        value = value.get("class_path")
    if not isinstance(value, str):
        return
    file = next((path for path in (folder / value, Path(value)) if path.suffix and path.is_file()), None)
    if file is None:
        yield value
    else:
        yield from _class_names(_load(file), file.parent)


def _load(path: Path) -> Any:
    try:
        return _parse(path.read_text())
    except (OSError, UnicodeDecodeError):
        return None


def _parse(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _class(name: str, base: type) -> Any:
    try:
        return _typehints.import_object(_typehints.resolve_class_path_by_name(base, name))
    except Exception:  # the parser will say what is wrong with it
        return None


def keep_given_targets(config: Namespace, dumped: dict[str, Any], links: Sequence[str]) -> None:
    """Puts targets of links that the user gave into a dump, which leaves out every target.

    Where the data module does not know a value (the width of an encoder of links), what was given is what counts.

    Args:
        config: Arguments of the model.
        dumped: The same as plain data, changed in place.
        links: Targets, `model.init_args.network.init_args.horizon`.
    """
    for target in links:
        *owner, name = target.removeprefix("model.init_args.").split(".")
        place: Any = dumped
        if owner:
            network = config.get(owner[0])
            if not isinstance(network, Namespace) or "init_args" not in network:
                continue
            place = dumped[owner[0]].setdefault("init_args", {})
        given = config.get(".".join((*owner, name)))
        if given is not None:
            place[name] = given


def _refuse_contradictions(model: Namespace | None, links: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Refuses values that differ from those of the data: jsonargparse lets a link win without a word.

    Args:
        model: The model section of the config.
        links: Values of the data, by target.
        defaults: Defaults of the targets.

    Raises:
        UsageError: The config gives another value than the data have.
    """
    for key, linked in links.items():
        given = None if model is None else model.get(key.removeprefix("model."))
        if given not in (None, linked, defaults[key]):
            name = key.replace(".init_args", "")
            raise UsageError(f"{name}: {given} given, but the data has {linked}; leave it out")


class Instantiator(_InstantiatorFn):
    """Keeps links that a class does not take out of the hyper-parameters, so that its checkpoint can be loaded.

    jsonargparse skips a link whose target the chosen class lacks; the stock code stores it all the same, and stops
    where a network has no argument of its own.

    Args:
        cli: The command line.
        key: `model` or `data`.
        parts: Makes the networks of the model.
    """

    def __init__(self, *, cli: LightningCLI, key: str, parts: PartInstantiator) -> None:
        super().__init__(cli=cli, key=key)
        self.parts = parts

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
        _refuse_contradictions(chosen, links, accepted)
        self.parts.write_into(given)
        made = super().__call__(class_type, *args, applied_instantiation_links=links, **kwargs)
        if self.key == "data":
            _check_model_arguments(made)
            self.parts.take(made, model_arguments(type(made)))
        return made


def _check_model_arguments(data: LightningDataModule) -> None:
    """Refuses names in `model_arguments` that a data module has not: jsonargparse passes over them without a word.

    Raises:
        UsageError: Reading one raises an AttributeError.
    """
    for name in model_arguments(type(data)):
        try:
            getattr(data, name)
        except AttributeError as error:
            declared = f"{type(data).__name__}.model_arguments"
            raise UsageError(f"data: {declared} names {name!r}, unreadable after __init__: {error}") from error


def _defaults(class_type: type[Any], prefix: str) -> dict[str, Any]:
    """The arguments of a class with their defaults."""
    parameters = inspect.signature(class_type).parameters
    return {f"{prefix}.{name}": parameter.default for name, parameter in parameters.items()}
