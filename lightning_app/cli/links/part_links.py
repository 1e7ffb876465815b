"""Links into parts of networks at any depth, e.g. the encoder of one modality of a fusion.

jsonargparse links arguments of the model and of its networks (see `lightning_app.cli.links.data_links`), and nothing
inside of a dict or a list. A part that stands there names what it takes from the data in `data_arguments`; each of
these arguments needs a default, which stands for "not given".
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from jsonargparse import _typehints

from lightning_app.errors import UsageError


class PartInstantiator:
    """Makes the networks of a config, and fills in what they take from the data."""

    def __init__(self) -> None:
        self._data: Any = None
        self._names: Sequence[str] = ()

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
        return class_type(*args, **kwargs)

    def write_into(self, config: Any) -> None:
        """Writes what parts take from the data into plain data, so that a checkpoint loads without data.

        Args:
            config: Arguments of a model, nested, changed in place.
        """
        if isinstance(config, dict):
            if isinstance(config.get("class_path"), str):
                for name, default in self._taken_by(_typehints.import_object(config["class_path"])):
                    arguments = config.setdefault("init_args", {})
                    if arguments.get(name, default) == default:
                        arguments[name] = getattr(self._data, name)
            for value in config.values():
                self.write_into(value)
        elif isinstance(config, list | tuple):
            for value in config:
                self.write_into(value)

    def _taken_by(self, class_type: Any) -> Iterator[tuple[str, Any]]:
        """Arguments that a class takes from the data, with their defaults."""
        names = [name for name in getattr(class_type, "data_arguments", ()) if name in self._names]
        parameters = inspect.signature(class_type).parameters if names else {}
        return ((name, parameters[name].default) for name in names)
