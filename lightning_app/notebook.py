"""Notebook: models and data of configs and checkpoints as Python objects, and packages of such objects."""

import copy
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from typing_extensions import override

from datamodules import BaseDataModule
from lightning_app.card_options import CardOptions
from lightning_app.cli import AppCLI, quiet
from lightning_app.cli.trained_run import TrainedObject, TrainedRun
from lightning_app.errors import UsageError
from lightning_app.packaging import Package
from lightning_app.packaging.commands.export_command import checkpoint_of
from lightning_app.packaging.export.package_run import export_package
from lightning_app.packaging.format.writer import check_place
from lightning_app.runs.run_folder import run_folder_of
from models import BaseModule
from models.checkpoint_file import check_checkpoint
from models.trusted_classes import TrustedClasses


def build(config: str, *options: str) -> tuple[BaseModule, BaseDataModule]:
    """Makes model and data of a config, for a `Trainer` of your own; no run folder is made.

    Checkpoints of that trainer hold the config of the model, so that `load` needs nothing else.

    Args:
        config: A config file, or the name of one that comes along, such as `forecasting/co2_phase`.
        options: Words as on the command line: `"--model.network.hidden_size", "8"`.

    Returns:
        model: Untrained.
        datamodule: Its data.

    Raises:
        ValueError: The config or an option is wrong.
    """
    quiet()
    built = _BuiltFromConfig(["-c", config, *options])
    return built.model, built.datamodule


def load(source: str | Path) -> BaseModule:
    """The model of a run folder or a checkpoint, in evaluation on the CPU; its data are not read.

    Args:
        source: A run folder (its best checkpoint, else the last), or a checkpoint.

    Raises:
        ValueError: There is no checkpoint, it is damaged, it names code that is not trusted (import its module first),
            or it was saved by a `Trainer` in code, which does not store the network.
    """
    path = checkpoint_of(str(source))
    if path.is_dir():
        raise UsageError(f"source: {path} is sharded; consolidate it into one file first")
    check_checkpoint(path)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("hyper_parameters", {})
    except Exception as error:
        raise UsageError(f"source: {path} is no readable checkpoint: {error}") from error
    class_path = stored.get("_class_path")
    if class_path is None:
        raise UsageError(
            f"source: {path} was saved by a Trainer in code, so the class of its model and what was given to it are "
            "not in it: MyModule.load_from_checkpoint(path, network=..., loss=...), or make the model by "
            "lightning_app.build next time"
        )
    rule = TrustedClasses()
    with rule, rule.explaining(str(path)):
        rule.check_path(class_path)
        module, name = class_path.rsplit(".", 1)
        kind: type[BaseModule] = getattr(import_module(module), name)
        rule.check_object(class_path, kind)
        loaded: BaseModule = kind.load_from_checkpoint(path, map_location="cpu")
    return loaded.eval()


def load_data(run: str | Path, *options: str) -> BaseDataModule:
    """The data module of a run folder, as its config has it.

    Args:
        run: The folder, or a checkpoint in it.
        options: Words as on the command line that override the config: `"--data.series.path", "new.csv"`.

    Raises:
        ValueError: It is no run folder, or its data are not there.
    """
    checkpoint = checkpoint_of(str(run))
    if run_folder_of(checkpoint) is None:
        raise UsageError(f"run: {run} lies in no run folder (no config.yaml), so its data are not known")
    quiet()
    return TrainedRun(["--ckpt_path", str(checkpoint), *options]).datamodule


def export(
    module: BaseModule,
    datamodule: BaseDataModule,
    output: str | Path,
    *,
    name: str = "model",
    card: CardOptions | None = None,
    sample: int = 2000,
    overwrite: bool = False,
) -> Package:
    """Makes a package of a module that was trained in a notebook; `lightning-app export` does it of a checkpoint.

    Args:
        module: The trained module; it is copied, and stays as and where it is.
        datamodule: The data on whose test split package and module are compared.
        output: Folder of the package.
        name: Of the package.
        card: Sections of the model card; a package without them cannot be promoted.
        sample: Most rows of the reference sample.
        overwrite: Replace a package that is there.

    Returns:
        The package, verified and loaded.

    Raises:
        ValueError: The module cannot be exported, or the package does not answer as it does; nothing is written.
    """
    for given, kind in ((module, BaseModule), (datamodule, BaseDataModule)):
        if not isinstance(given, kind):
            raise UsageError(f"export: {type(given).__name__} given, a {kind.__name__} is needed")
    if sample < 1:
        raise UsageError(f"sample: {sample} given, at least 1 is needed")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise UsageError(f"name: {name!r} given, letters, digits and any of _.- are allowed")
    check_place(Path(output), overwrite)
    quiet()
    trained = TrainedObject(_copy(module), datamodule, _config_of(module, datamodule), card or CardOptions())
    return export_package(trained, Path(output), name=name, sample=sample, overwrite=overwrite)


def _copy(module: BaseModule) -> BaseModule:
    """A copy for evaluation on the CPU, without the trainer."""
    trainer, module._trainer = module._trainer, None
    try:
        return copy.deepcopy(module).cpu().eval()
    finally:
        module._trainer = trainer


def _config_of(module: BaseModule, datamodule: BaseDataModule) -> dict[str, Any]:
    """What is known of the config: all of a model that was made from one, else class names and plain arguments."""
    arguments = {key: value for key, value in dict(module.hparams).items() if not key.startswith("_")}
    class_path = module.hparams.get("_class_path", _path_of(module))
    network = {slot: {"class_path": _path_of(part)} for slot, part in module.named_children() if slot not in arguments}
    known = {slot: part for slot, part in network.items() if slot in module.injected_arguments}
    return {
        "model": {"class_path": class_path, "init_args": {**known, **arguments}},
        "data": {"class_path": _path_of(datamodule)},
    }


def _path_of(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


class _BuiltFromConfig(AppCLI):
    """Model and data as `fit` would make them; nothing is run, and nothing is written."""

    def __init__(self, args: list[str]) -> None:
        super().__init__(["fit", *args])

    @override
    def before_instantiate_classes(self) -> None:
        """Nothing: no run folder is made."""

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)

    @override
    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing."""
