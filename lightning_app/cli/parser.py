"""Parser of the four verbs: LightningCLI's, with its faults put right; each fix has a test in test_cli.py."""

import inspect
import sys
from typing import Any

import jsonargparse
import torch
from jsonargparse import _typehints
from jsonargparse._typehints import resolve_class_path_by_name
from jsonargparse._util import get_import_path, parse_value_or_config
from jsonargparse.typing import register_type
from lightning.pytorch.cli import LightningArgumentParser
from typing_extensions import override

from lightning_app.errors import UsageError, simplify
from lightning_app.moved_modules import current_class_path

# Without it a config that is saved holds "Unable to serialize instance cpu" for a device, and cannot be read again.
register_type(torch.device, str, torch.device)


class AppParser(LightningArgumentParser):
    """Raises one clear line where the stock parser prints its usage and a tree of reasons."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # argparse would take --trainer.max_epoch for --trainer.max_epochs: a typo must not be a guess.
        super().__init__(*args, allow_abbrev=False, **kwargs)
        self.links: list[str] = []  # targets, see lightning_app.cli.links

    @override
    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        if not self.exit_on_error:
            super().error(message, ex)
        raise UsageError(simplify(message, self.options())) from ex

    def parser_of(self, verb: str) -> "AppParser":
        """The parser of one verb, or this one where there are no verbs."""
        subcommands = self._subcommands_action.choices if self._subcommands_action is not None else {}
        parser = subcommands.get(verb, self)
        assert isinstance(parser, AppParser)
        return parser

    def options(self) -> list[str]:
        """All options that it or one of its subcommands knows, `--trainer.max_epochs` and so on."""
        subcommands = self._subcommands_action.choices.values() if self._subcommands_action is not None else ()
        return [
            option for parser in (self, *subcommands) for action in parser._actions for option in action.option_strings
        ]


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
    """Resolves a class name; leaves out classes whose module was loaded again since, as `importlib.reload` does."""
    name = current_class_path(name)
    if "." not in name and isinstance(cls, type):
        present = [kind for kind in _subclasses(cls) if kind.__name__ == name and _is_present(kind)]
        if len(present) == 1:
            return str(get_import_path(present[0]))
    return resolve_class_path_by_name(cls, name)


def _subclasses(cls: type[Any]) -> set[type[Any]]:
    return {cls}.union(*(_subclasses(kind) for kind in type.__subclasses__(cls)))


def _is_present(kind: type[Any]) -> bool:
    return not inspect.isabstract(kind) and getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind


_REPLACEMENTS = {
    "discard_init_args_on_class_path_change": _discard_all,
    "parse_value_or_config": _parse_once,
    "resolve_class_path_by_name": _resolve_present_name,
}
"""Functions of jsonargparse that `FreshArguments` replaces."""
