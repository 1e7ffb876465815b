"""Argument parser of verbs outside LightningCLI: their own arguments, then `--`, then options for each fit."""

import argparse
from typing import NoReturn

from typing_extensions import override

from lightning_app.errors import UsageError, nearest


class VerbParser(argparse.ArgumentParser):
    """Parses `lightning-app VERB ... -- OPTION ...`; invalid usage raises `UsageError` instead of exiting.

    Args:
        verb: Name of the verb.
        description: Text of the help page.
        epilog: What the words after `--` are for.
        trusts: Whether to accept `--trust`, for verbs that read configs or checkpoints.
    """

    def __init__(
        self,
        verb: str,
        *,
        description: str | None,
        epilog: str = "Words after -- go to each fit.",
        trusts: bool = False,
    ) -> None:
        # With abbreviations argparse would accept the typo --overwrit as --overwrite.
        super().__init__(prog=f"lightning-app {verb}", description=description, epilog=epilog, allow_abbrev=False)
        self.verb = verb
        self.set_defaults(trust=[])
        if trusts:
            help_text = "module whose code a run folder, checkpoint or package may name"
            self.add_argument("--trust", action="append", default=[], metavar="MODULE", help=help_text)

    def split(self, args: list[str]) -> tuple[argparse.Namespace, list[str]]:
        """Splits a command line into the verb's own arguments and the words after `--`.

        Args:
            args: Command line, verb first.

        Returns:
            arguments: Parsed arguments of the verb.
            options: `--trust` options, then the words after `--`.
        """
        words = args[1:]
        end = words.index("--") if "--" in words else len(words)
        arguments = self.parse_args(words[:end])
        return arguments, [*(word for module in arguments.trust for word in ("--trust", module)), *words[end + 1 :]]

    @override
    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()
        known = [option for action in self._actions for option in action.option_strings]
        near = nearest(unknown[0].partition("=")[0], known) if unknown != message.split() else ""
        raise UsageError(f"{self.verb}: {message}{near}")
