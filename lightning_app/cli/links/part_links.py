"""Links into parts of networks at any depth, e.g. the encoder of one modality of a fusion.

jsonargparse links arguments of the model and of its networks (see `lightning_app.cli.links.data_links`), and nothing
inside of a dict or a list. A part that stands there names what it takes from the data in `data_arguments`; each of
these arguments needs a default, which stands for "not given".

What is found in the data (`found_arguments` of the data module, such as `period`) fills arguments of these names, with
the default None, in any network whose config leaves them out. What a config gives is kept; a fit warns where the data
speak against it.
"""

import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from jsonargparse import _typehints
from torch import nn

from datamodules import BaseDataModule
from lightning_app.errors import UsageError
from lightning_app.runs.run_folder import is_first_process


class PartInstantiator:
    """Makes the networks of a config, and fills in what they take from the data."""

    def __init__(self) -> None:
        self._data: Any = None
        self._names: Sequence[str] = ()
        self._said: set[str] = set()
        self.warns = False
        """Whether to warn of given values that the data speak against."""

    def take(self, data: Any, names: Sequence[str]) -> None:
        """Takes the data module, which is made before the model.

        Args:
            data: The data module.
            names: Attributes of it that models may take.
        """
        self._data, self._names = data, names

    def __call__(self, class_type: type[Any], *args: Any, **kwargs: Any) -> Any:
        """Makes a network.

        Raises:
            UsageError: An argument differs from that of the data.
        """
        for name, default in self._taken_by(class_type):
            value = getattr(self._data, name)
            given = kwargs.get(name, default)
            if given not in (default, value):
                raise UsageError(
                    f"model: {class_type.__name__}.{name}: {given} given, but the data has {value}; leave it out"
                )
            kwargs[name] = value
        for name in self._found_by(class_type):
            kwargs[name] = self._found(f"{class_type.__name__}.{name}", name, kwargs.get(name))
        return class_type(*args, **kwargs)

    def _found(self, owner: str, name: str, given: Any) -> Any:
        """The value of an argument that the data may fill; says where it is from."""
        if given is not None:
            doubts = self._doubts(name, given) if self.warns else None
            if doubts is not None:
                found = getattr(self._data, name)
                hint = "" if found is None else f"; leave it out to take {found}"
                self._say(f"warning: model: {owner}: {given} given, but {doubts}{hint}", warning=True)
            return given
        value = getattr(self._data, name)
        try:
            how = self._data.how_found(name)
        except ValueError as error:
            raise UsageError(f"model: {owner}: none given, and {error}") from error
        self._say(f"model: {owner}: {value}, {how}", warning=False)
        return value

    def _doubts(self, name: str, given: Any) -> str | None:
        try:
            doubts: str | None = self._data.doubts(name, given)
        except (OSError, ValueError):  # data that cannot be read are refused by the fit, in its own words
            return None
        return doubts

    def _say(self, line: str, *, warning: bool) -> None:
        if line not in self._said and is_first_process():
            print(line, file=sys.stderr if warning else sys.stdout, flush=True)
        self._said.add(line)

    def write_into(self, config: Any) -> None:
        """Writes what parts take from the data into plain data, so that a checkpoint loads without data.

        Args:
            config: Arguments of a model, nested, changed in place.
        """
        for class_type, part in _parts(config):
            for name, default in self._taken_by(class_type):
                arguments = part.setdefault("init_args", {})
                if arguments.get(name, default) == default:
                    arguments[name] = getattr(self._data, name)
        self.write_found(config)

    def write_found(self, config: Any) -> None:
        """Writes what was found in the data into a config, which then gives the same run on other data.

        Args:
            config: Arguments of a model, nested, changed in place.
        """
        for class_type, part in _parts(config):
            for name in self._found_by(class_type):
                arguments = part.setdefault("init_args", {})
                if arguments.get(name) is None:
                    arguments[name] = getattr(self._data, name)

    def _taken_by(self, class_type: Any) -> Iterator[tuple[str, Any]]:
        """Arguments that a class takes from the data, with their defaults."""
        names = [name for name in getattr(class_type, "data_arguments", ()) if name in self._names]
        parameters = inspect.signature(class_type).parameters if names else {}
        return ((name, parameters[name].default) for name in names)

    def _found_by(self, class_type: Any) -> list[str]:
        """Arguments of a network that the data may fill."""
        names = self._data.found_arguments if isinstance(self._data, BaseDataModule) else ()
        is_network = inspect.isclass(class_type) and issubclass(class_type, nn.Module)
        parameters = inspect.signature(class_type).parameters if names and is_network else {}
        return [name for name in names if name in parameters and parameters[name].default is None]


def _parts(config: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Classes with their sections in a config, at any depth."""
    if isinstance(config, dict):
        if isinstance(config.get("class_path"), str):
            yield _typehints.import_object(config["class_path"]), config
        config = list(config.values())
    for value in config if isinstance(config, list | tuple) else ():
        yield from _parts(value)
