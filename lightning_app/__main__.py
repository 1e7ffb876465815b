"""`lightning-app VERB`: finds the verb, and imports nothing heavy before that."""

import os
import select
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from lightning_app.config.shipped_configs import find_configs
from lightning_app.garbage_collection import without_collection
from lightning_app.module_search import working_folder
from lightning_app.terminal import plain
from lightning_app.version import __version__

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

VERBS: dict[str, tuple[str, str]] = {
    "fit": ("lightning_app.cli:run", "Train a model; keeps the best and the last checkpoint in a run folder."),
    "validate": ("lightning_app.cli:run", "Evaluate a checkpoint on the validation split."),
    "test": ("lightning_app.cli:run", "Evaluate a checkpoint on the test split; writes a report and a picture."),
    "predict": ("lightning_app.cli:run", "Forecast with a checkpoint; writes a table."),
    "compare": ("lightning_app.commands.compare:run", "Fit and test several configs; writes one table."),
    "cross-validate": (
        "lightning_app.commands.cross_validate:run",
        "Fit and test configs fold by fold; keeps out-of-fold predictions.",
    ),
    "sweep": ("sweeps.command:run", "Search hyper-parameters of any config, trial by trial."),
    "walk-forward": (
        "lightning_app.commands.walk_forward:run",
        "Forecast from rolling origins, refitting on the way.",
    ),
    "explain": (
        "lightning_app.commands.explain:run",
        "Show which edges the prediction for a node of a graph rests on.",
    ),
    "data": ("lightning_app.data_commands.command:run", "Describe and check tables."),
    "export": (
        "lightning_app.packaging.commands.export_command:run",
        "Make a package of a checkpoint: ONNX, manifest, model card.",
    ),
    "package": (
        "lightning_app.packaging.commands.package_command:run",
        "Show, verify, compare or sign packages.",
    ),
    "register": (
        "lightning_app.registry.commands.promotion_commands:register",
        "Make a version of a package in the registry.",
    ),
    "promote": (
        "lightning_app.registry.commands.promotion_commands:promote",
        "Make a version champion, if its gates let it.",
    ),
    "withdraw": (
        "lightning_app.registry.commands.promotion_commands:withdraw",
        "Take the alias challenger or shadow from a version.",
    ),
    "rollback": (
        "lightning_app.registry.commands.promotion_commands:rollback",
        "Make the champion before the present one champion again.",
    ),
    "models": ("lightning_app.registry.commands.models_command:run", "List, show or compare what the registry holds."),
    "score": ("lightning_app.scoring.command:run", "Predict every row of a table; goes on where it was killed."),
    "index": (
        "lightning_app.retrieval.commands.command:run",
        "Search a table of texts by the embeddings of a package.",
    ),
    "serve": ("lightning_app.serving.command:run", "Answer requests over HTTP with packages and registered models."),
    "stream": (
        "lightning_app.serving.stream.command:run",
        "Answer the events of Kafka, Redis Streams or a queue table, each exactly once.",
    ),
    "journal": (
        "lightning_app.serving.journal.commands.command:run",
        "What a server answered, and its outcomes: show, export, prune, replay.",
    ),
    "experiment": (
        "lightning_app.serving.experiments.commands.command:run",
        "Compare models that answer together: list, show, analyse, stop, plan.",
    ),
    "monitor": (
        "lightning_app.monitoring.commands.command:run",
        "Watch what was served: drift, quality, causes, alerts.",
    ),
    "retrain": (
        "lightning_app.retraining.commands.command:run",
        "Train, compare and promote the next version when it is due.",
    ),
    "keys": ("lightning_app.serving.security.keys_command:run", "API keys of a server: add, list, revoke."),
    "features": (
        "lightning_app.features_commands.command:run",
        "One definition of features: list, build, materialize, get.",
    ),
}
_WITHOUT_USER_CODE = (
    "package",
    "register",
    "promote",
    "withdraw",
    "rollback",
    "models",
    "score",
    "index",
    "serve",
    "stream",
    "keys",
    "features",
    "journal",
    "experiment",
    "monitor",
    "retrain",
)
"""Verbs of packages: nothing of the working folder is imported for them."""


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        args: The command line without the program's name; None takes `sys.argv`.

    Returns:
        Exit code: 0 done, 1 the work failed, 2 bad usage, config or data, 141 nobody reads the output any more,
        143 ended by SIGTERM after saving.
    """
    if args is not None:
        return _run(args)
    try:
        code = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        # As a program that is piped into `head` does: without a word, and the interpreter has none at its end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _run(args: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in words or os.environ.get("LIGHTNING_APP_DEBUG") == "1"
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        print(_help())  # noqa: T201
        return 0
    if words[0] == "--version":
        print(f"lightning-app {__version__}")  # noqa: T201
        return 0
    if words[0].startswith(("-c", "--config")):
        from lightning_app.word_order import verb_first

        own_first = verb_first(words, VERBS)
        words = own_first if own_first != words else verb_first(words, _installed())
    if words[0] not in VERBS and words[0] not in _installed():
        return _fail(f"unknown verb {words[0]!r}, allowed: {', '.join((*VERBS, *_installed()))}", 2)
    # Both libraries talk too much by default; the settings must stand before they are imported.
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    try:
        if asked := _help_of_verb(words):
            print(asked)  # noqa: T201
            return 0
        words = find_configs(words)
        with nullcontext() if words[0] in _WITHOUT_USER_CODE else working_folder():
            _function(words[0], own_process=args is None)(words)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        if debug or (args is None and isinstance(error, BrokenPipeError) and _output_is_closed()):
            raise
        from lightning_app.errors import describe, exit_code

        return _fail(describe(error), exit_code(error))
    return 0


def _output_is_closed() -> bool:
    """Whether the reader of a pipe has gone; a broken pipe may also be one to a server."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _function(verb: str, own_process: bool) -> Callable[[list[str]], object]:
    if verb not in VERBS:
        return _installed_function(verb)
    module, name = VERBS[verb][0].split(":")
    with without_collection() if own_process else nullcontext():
        function: Callable[[list[str]], object] = getattr(import_module(module), name)
    return function


def _installed() -> "dict[str, list[EntryPoint]]":
    from lightning_app.installed_verbs import installed_verbs

    return installed_verbs(VERBS)


def _installed_function(verb: str) -> Callable[[list[str]], object]:
    from lightning_app.errors import UsageError
    from lightning_app.installed_verbs import package_of, the_one

    point = the_one(_installed()[verb])
    try:
        function: Callable[[list[str]], object] = point.load()
    except Exception as error:
        broken = f"verb {verb!r}: {point.value} of the package {package_of(point)} cannot be loaded"
        raise UsageError(f"{broken}: {type(error).__name__}: {error}") from error
    if not callable(function):
        raise UsageError(f"verb {verb!r}: {point.value} of the package {package_of(point)} is no function")
    return function


def _help_of_verb(words: list[str]) -> str:
    """The short page of a verb whose parser takes seconds to build; empty where it was not asked for."""
    from lightning_app.short_help import TRAINS, short_help

    verb, *rest = words
    place = next((place for place, word in enumerate(rest) if word in ("-h", "--help")), None)
    if verb not in TRAINS or place is None or rest[place + 1 : place + 2] == ["all"]:
        return ""
    return short_help(verb, VERBS[verb][1])


def _help() -> str:
    from lightning_app.installed_verbs import first_line, unused_verbs

    installed = {verb: first_line(points[0]) for verb, points in _installed().items()}
    texts = {verb: text for verb, (_, text) in VERBS.items()} | installed
    verbs = "\n".join(f"  {verb:<16}{text}" for verb, text in texts.items())
    unused = "\n".join(f"  {line}" for line in unused_verbs(VERBS))
    return (
        "usage: lightning-app VERB [options]\n\n"
        "One config takes a model from research to production.\n\n"
        f"verbs:\n{verbs}\n\n{f'not used:{chr(10)}{unused}{chr(10) * 2}' if unused else ''}"
        "options:\n"
        "  VERB --help    the options of a verb\n"
        "  --version      print the version\n"
        "  --debug        print a traceback when something fails\n\n"
        "example:\n"
        "  lightning-app fit -c forecasting/co2_phase --trainer.max_epochs 5"
    )


def _fail(message: str, code: int) -> int:
    print(plain(f"error: {message}"), file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
