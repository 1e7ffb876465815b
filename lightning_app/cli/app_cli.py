"""AppCLI: LightningCLI of fit, validate, test and predict, over any LightningModule and LightningDataModule."""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jsonargparse
import yaml
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from torch import nn
from typing_extensions import override

from callbacks import CpuBudget  # class names in configs need no path once their module is imported
from datamodules import BaseDataModule
from lightning_app.card_options import CardOptions
from lightning_app.cli.checkpoint_source import CheckpointSource
from lightning_app.cli.config_errors import check_configs, check_yaml, with_place
from lightning_app.cli.finished_fit import FinishedFit
from lightning_app.cli.installed_classes import import_named_classes
from lightning_app.cli.links import Instantiator, PartInstantiator, leave_calendar_out, link_data_to_model
from lightning_app.cli.parser import AppParser, FreshArguments
from lightning_app.cli.resolved_config import experiment_name, plain_config, resolved_config, write_settled
from lightning_app.cli.resume_overrides import ResumeOverrides
from lightning_app.cli.run_arguments import add_run_arguments, settle_run_arguments
from lightning_app.cli.run_folder_choice import choose_run_folder
from lightning_app.cli.tracking_end import finish_tracking
from lightning_app.cli.trainer_parts import (
    all_callbacks,
    all_loggers,
    all_plugins,
    as_list,
    run_callbacks,
    set_best_checkpoint,
)
from lightning_app.config.shipped_configs import find_configs
from lightning_app.config.trust import split_trust
from lightning_app.errors import UsageError, simplify
from lightning_app.errors.failed_part import with_failed_part
from lightning_app.runs.history import History
from lightning_app.runs.model_facts import num_fitted_of
from lightning_app.runs.record import RunRecord
from lightning_app.runs.run_folder import RunFolder, RunOptions, is_first_process, run_folder_of
from lightning_app.runs.tracking import wandb_logger
from lightning_app.word_order import configs_first, with_given_paths
from models import BaseModule
from models.pretrained_files import checkpoint_follows
from models.trusted_classes import TrustedClasses, trusted_classes


class AppCLI(LightningCLI):
    """LightningCLI with a folder per run, checkpoints that bring their config, and a command line that wins.

    Args:
        args: The command line, verb first.
    """

    job: str = ""
    """Type of the W&B run; empty takes the verb."""

    data_configs: tuple[Path, ...] = ()
    """Config files of the command line that are data: the modules that they name are not trusted."""

    folder: RunFolder
    """Where the run is kept."""

    is_new: bool = False
    """Whether this command made the folder."""

    def __init__(self, args: list[str]) -> None:
        try:
            self._run(args)
        except BaseException as error:
            if self.is_new and not self._is_worth_keeping():
                finish_tracking(error)
                shutil.rmtree(self.folder.path, ignore_errors=True)  # nothing was trained: leave nothing behind
            raise

    def _is_worth_keeping(self) -> bool:
        """Whether there is a run in the folder; a fit that resumes another is none before its first step."""
        callbacks_of_run = self.trainer.callbacks if hasattr(self, "trainer") else []  # type: ignore[attr-defined]
        started = any(part.started for part in callbacks_of_run if isinstance(part, RunRecord))
        resumes = self.subcommand == "fit" and self.source.path is not None
        return self.folder.config.exists() and (started or not resumes)

    def after_fit(self) -> None:
        """Leaves no folder of a fit that had nothing left to train; the run is then the one that it came from."""
        parent = run_folder_of(self.source.path) if self.source.path else None
        if self.source.path is None or parent is None or self._is_worth_keeping():
            return
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, FinishedFit) and is_first_process():
                callback.say(self.trainer, self.source.path)
        finish_tracking()
        shutil.rmtree(self.folder.path, ignore_errors=True)
        self.folder, self.is_new = parent, False

    def _run(self, args: list[str]) -> None:
        args = find_configs(args, tell=False)
        check_yaml(args)
        named, words = split_trust(args, data=self.data_configs)
        with TrustedClasses(named), tempfile.TemporaryDirectory() as folder:
            try:
                self._run_trusted(configs_first(words, verbs=LightningCLI.subcommands(), folder=Path(folder)))
            except UsageError as error:
                raise UsageError(with_given_paths(str(error), words, folder=Path(folder))) from error

    def _run_trusted(self, args: list[str]) -> None:
        self.parts = PartInstantiator()
        self.verb = args[0] if args and args[0] in self.subcommands() else None
        super().__init__(
            auto_configure_optimizers=False,
            seed_everything_default=0,
            save_config_callback=None,  # RunRecord writes it, with the rest of the record
            parser_class=AppParser,
            trainer_defaults={
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
            },
            args=args,
        )

    @staticmethod
    @override
    def subcommands() -> dict[str, set[str]]:
        return LightningCLI.subcommands()

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        if self.verb not in (subcommand, None):
            return self.init_parser(**kwargs)  # without its 200 options: it is not asked for
        return super()._prepare_subcommand_parser(klass, subcommand, **kwargs)

    @override
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        add_run_arguments(parser)

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        rule = trusted_classes()
        self.source = CheckpointSource.of(args)
        check_yaml(self.source.args)
        for path in (*self.source.data_configs, *self.data_configs):
            rule.check_data(yaml.safe_load(path.read_text()), str(path))
        assert isinstance(parser, AppParser)
        check_configs(self.source.args, parser.options())
        import_named_classes(self.source.args)
        link_data_to_model(parser, self.source.args)
        with FreshArguments(), rule.explaining(), self._placing_errors():
            self.config = parser.parse_args(self.source.args)
        config = self.config[self.config.subcommand]
        if self.source.is_from_before("max_missing") and "max_missing" in config.data.init_args:
            config.data.init_args.max_missing = 1.0  # there was no limit when the run was trained
        settle_run_arguments(config)

    @contextmanager
    def _placing_errors(self) -> Iterator[None]:
        """Says which file and line a message about a key of a config is about."""
        try:
            yield
        except UsageError as error:
            raise UsageError(with_place(str(error), self.source.args)) from error

    def _parse_ckpt_path(self) -> None:
        """Nothing: the stock method lets a checkpoint's hyper-parameters win over the command line."""

    def _add_instantiators(self) -> None:
        for key, base in (("model", LightningModule), ("data", LightningDataModule)):
            self.parser.add_instantiator(Instantiator(cli=self, key=key, parts=self.parts), base, subclasses=True)
        self.parser.add_instantiator(self.parts, nn.Module, subclasses=True, prepend=False)

    @override
    def before_instantiate_classes(self) -> None:
        config = self.config[self.config.subcommand]
        config.run.name = config.run.name or experiment_name(config)
        if self.subcommand != "fit" and any(word.partition("=")[0] == "--run.budget" for word in self.source.args):
            raise UsageError(f"run.budget: given to {self.subcommand}; it ends a fit")
        self.run_options = RunOptions(**config.run.as_dict())
        self.card = CardOptions(**config.card.as_dict())
        self.folder, self.is_new = choose_run_folder(config, self.source, verb=str(self.subcommand))
        assert isinstance(self.parser, AppParser)
        leave_calendar_out(config)
        self.resolved = resolved_config(self.parser, self.config)
        self.parts.warns = self.subcommand == "fit"

    @override
    def _set_seed(self) -> None:
        if self._get(self.config, "seed_everything") is True and is_first_process():
            # Lightning takes the environment's seed or 0 for `true`; other processes are told this one by it.
            seed = secrets.randbelow(2**32)
            self.config[self.subcommand]["seed_everything"] = seed
            print(f"seed: {seed}, drawn; --seed_everything {seed} repeats the run", flush=True)  # noqa: T201
        with self._placing_errors():
            try:
                super()._set_seed()
            except ValueError as error:
                raise UsageError(f"seed_everything: {error}") from error

    @override
    def instantiate_classes(self) -> None:
        with self._placing_errors(), checkpoint_follows(self.source.path):
            try:
                super().instantiate_classes()
            except ValueError as error:  # raised by a constructor; jsonargparse wraps it into its tree of reasons
                message = str(error) if isinstance(error, UsageError) else simplify(str(error), ())
                raise UsageError(with_failed_part(message, error, self.config[self.subcommand].as_dict())) from error

    @override
    def _dump_config(self) -> None:
        if not hasattr(self, "config_dump"):
            assert isinstance(self.parser, AppParser)
            self.config_dump = plain_config(self.parser, self.config, skip_link_targets=False)[str(self.subcommand)]

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        if isinstance(self.datamodule, BaseDataModule):
            write_settled(self.resolved, self.datamodule)
            self.parts.write_found(self.resolved["model"])
        trainer = self._get(self.config_init, "trainer")
        if trainer.barebones:
            print("barebones: nothing is recorded, and no checkpoint is kept")  # noqa: T201
            with suppress(OSError):  # one that is not empty is that of an earlier run
                self.folder.path.rmdir()
            return super().instantiate_trainer(**kwargs)
        if not os.access(self.folder.path, os.W_OK) and is_first_process():
            raise UsageError(f"output: {self.folder.path} cannot be written to; give a new folder as --output")
        self.history = History(self.folder)
        tracked = wandb_logger(self.folder, self.run_options, self.resolved, self.job or str(self.subcommand))
        kwargs["logger"] = all_loggers(kwargs.get("logger", trainer.logger), [self.history, tracked])
        kwargs["plugins"] = all_plugins(kwargs.get("plugins", trainer.plugins), trainer.strategy)
        given_callbacks = as_list(kwargs.get("callbacks", trainer.callbacks))
        kwargs["callbacks"] = all_callbacks(given_callbacks, self.callbacks_of_run(trainer))
        resumed = self.source.path if self.subcommand == "fit" else None
        set_best_checkpoint(kwargs["callbacks"], self.model, resumed=resumed)
        kwargs["default_root_dir"] = str(self.folder.path)
        return super().instantiate_trainer(**kwargs)

    def callbacks_of_run(self, trainer: jsonargparse.Namespace) -> list[Callback]:
        """The callbacks that a run has besides those of its config; the trainer's config is given."""
        before = self.source.previous_config() if self.source.path and self.subcommand == "fit" else None
        allowed = self._get(self.config, "allow_changed_data")
        record = RunRecord(self.folder, self.resolved, self.history, self.source.path, allow_changed_data=allowed)
        changes = [ResumeOverrides(before, self.resolved), FinishedFit(before, self.resolved)]
        budget = self.run_options.budget if self.subcommand == "fit" else None
        limits = [] if budget is None else [CpuBudget(seconds=budget)]
        return run_callbacks(self.model, trainer, record=[*limits, *changes, record])

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        kwargs["ckpt_path"] = str(self.source.path) if self.source.path else None
        kwargs["weights_only"] = True
        if self.source.path:
            self.source.check(self.model)
        elif subcommand != "fit" and num_fitted_of(self.model):
            if isinstance(self.model, BaseModule):
                raise UsageError(f"ckpt_path: {subcommand} of a model that has to be fitted needs a checkpoint")
            print(f"warning: no ckpt_path given: {subcommand} takes the weights as constructed", file=sys.stderr)  # noqa: T201
        if isinstance(self.model, BaseModule) and self.datamodule is None:
            raise UsageError(f"data: none given; a {type(self.model).__name__} needs a data module")
        if subcommand in ("validate", "test"):
            kwargs["verbose"] = False  # RunRecord prints the table
        return kwargs
