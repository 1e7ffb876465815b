"""The command line of the verbs that run others: their own arguments, then `--`, then options for each fit."""

import argparse
from typing import NoReturn

from typing_extensions import override

from lightning_app.errors import UsageError, nearest


class VerbParser(argparse.ArgumentParser):
    """Parses `lightning-app VERB ... -- OPTION ...`; wrong usage is an exception, as everywhere.

    Args:
        verb: Name of the verb.
        description: What it does.
        epilog: What words after `--` are for.
        trusts: Whether it takes `--trust`, for the configs that it reads.
    """

    def __init__(
        self,
        verb: str,
        *,
        description: str | None,
        epilog: str = "Words after -- go to each fit.",
        trusts: bool = False,
    ) -> None:
        # argparse would take --overwrit for --overwrite: a typo must not be a guess.
        super().__init__(prog=f"lightning-app {verb}", description=description, epilog=epilog, allow_abbrev=False)
        self.verb = verb
        self.set_defaults(trust=[])
        if trusts:
            help_text = "module whose code a run folder, checkpoint or package may name"
            self.add_argument("--trust", action="append", default=[], metavar="MODULE", help=help_text)

    def split(self, args: list[str]) -> tuple[argparse.Namespace, list[str]]:
        """Its own arguments, and the words after `--`.

        Args:
            args: The command line, verb first.
        """
        words = args[1:]
        end = words.index("--") if "--" in words else len(words)
        given = self.parse_args(words[:end])
        return given, [*(word for module in given.trust for word in ("--trust", module)), *words[end + 1 :]]

    @override
    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()
        known = [option for action in self._actions for option in action.option_strings]
        near = nearest(unknown[0].partition("=")[0], known) if unknown != message.split() else ""
        raise UsageError(f"{self.verb}: {message}{near}")
