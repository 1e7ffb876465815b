"""Parser of `fit`, built once and shared by all trials of a sweep."""

from typing import Any, ClassVar

from typing_extensions import override

from lightning_app.cli import AppCLI


class FitParser(AppCLI):
    """`fit` with a cached parser, which processes forked from this one inherit.

    Building the parsers of the four verbs takes as long as the rest of a trial's start-up.
    """

    _kept: ClassVar[dict[str, Any]] = {}

    @staticmethod
    @override
    def subcommands() -> dict[str, set[str]]:
        return {"fit": AppCLI.subcommands()["fit"]}

    @override
    def setup_parser(
        self, add_subcommands: bool, main_kwargs: dict[str, Any], subparser_kwargs: dict[str, Any]
    ) -> None:
        names = ("parser", "_subcommand_parsers", "_subcommand_method_arguments")
        if not self._kept:
            super().setup_parser(add_subcommands, main_kwargs, subparser_kwargs)
            self._kept.update({name: getattr(self, name) for name in names})
        vars(self).update(self._kept)
