"""Notebook API: models and data modules of configs and checkpoints as objects, and packages made from them."""

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
from lightning_app.cli.parser import AppParser
from lightning_app.cli.resolved_config import resolved_config
from lightning_app.cli.trained_run import TrainedObject, TrainedRun
from lightning_app.errors import UsageError
from lightning_app.packaging import Package
from lightning_app.packaging.commands.export_command import checkpoint_of
from lightning_app.packaging.export.package_run import export_package
from lightning_app.packaging.format.writer import check_output
from lightning_app.runs.run_folder import run_folder_of
from models import BaseModule
from models.checkpoint_file import check_checkpoint
from models.trusted_classes import TrustedClasses


def build(config: str, *options: str) -> tuple[BaseModule, BaseDataModule]:
    """Builds the untrained model and the data module of a config, without creating a run folder.

    A checkpoint saved by any `Trainer` that fits this model contains the model's config, so `load` can restore it.

    Args:
        config: Config file, or the name of a shipped one, e.g. `forecasting/co2_phase`.
        options: Overrides as on the command line: `"--model.network.hidden_size", "8"`.

    Returns:
        model: Untrained.
        datamodule: Not set up yet.

    Raises:
        ValueError: The config or an option is invalid.
    """
    quiet()
    built = _BuiltFromConfig(["-c", config, *options])
    return built.model, built.datamodule


def load(source: str | Path) -> BaseModule:
    """Loads the model of a run folder or checkpoint in evaluation mode on the CPU, without reading its data.

    Args:
        source: Run folder (takes its best checkpoint, else the last one) or checkpoint file.

    Raises:
        ValueError: There is no checkpoint, it is damaged, it names code that is not trusted (import its module first),
            or it was saved by a `Trainer` in user code, which does not store the network.
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
            f"source: {path} was saved by a Trainer in code, so the class of its model and its arguments are not in "
            "it: MyModule.load_from_checkpoint(path, network=..., loss=...), or make the model by "
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
    """Builds the data module of a run folder from its recorded config.

    Args:
        run: Run folder, or a checkpoint in it.
        options: Overrides as on the command line: `"--data.series.path", "new.csv"`.

    Raises:
        ValueError: `run` is no run folder, or its data files are missing.
    """
    checkpoint = checkpoint_of(str(run))
    if run_folder_of(checkpoint) is None:
        raise UsageError(f"run: {run} is not in a run folder (no config.yaml), so its data are not known")
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
    """Packages a module that was trained in a notebook; `lightning-app export` does the same for a checkpoint.

    Args:
        module: Trained module; a copy is exported, and the module keeps its device and mode.
        datamodule: Data module whose test split is used to compare the package with the module.
        output: Folder of the package.
        name: Name of the package.
        card: Sections of the model card; a package without them fails the `card` gate.
        sample: Maximum number of rows in the reference sample.
        overwrite: Replace an existing package.

    Returns:
        The package, verified and loaded.

    Raises:
        ValueError: The module cannot be exported, or the outputs of the package differ from the module's; nothing is
            written.
    """
    for argument, kind in ((module, BaseModule), (datamodule, BaseDataModule)):
        if not isinstance(argument, kind):
            raise UsageError(f"export: {type(argument).__name__} given, a {kind.__name__} is needed")
    if sample < 1:
        raise UsageError(f"sample: {sample} given, at least 1 is needed")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise UsageError(f"name: {name!r} given, letters, digits and any of _.- are allowed")
    check_output(Path(output), overwrite)
    quiet()
    trained = TrainedObject(_copy(module), datamodule, _config_of(module, datamodule), card or CardOptions())
    return export_package(trained, Path(output), name=name, sample=sample, overwrite=overwrite)


def _copy(module: BaseModule) -> BaseModule:
    """Copies a module to the CPU in evaluation mode, without its trainer."""
    trainer, module._trainer = module._trainer, None
    try:
        return copy.deepcopy(module).cpu().eval()
    finally:
        module._trainer = trainer


def _config_of(module: BaseModule, datamodule: BaseDataModule) -> dict[str, Any]:
    """The model's full config if it was built from one, else its class paths and plain constructor arguments."""
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
    """CLI that builds model and data module as `fit` would, but runs nothing and writes nothing."""

    def __init__(self, args: list[str]) -> None:
        super().__init__(["fit", *args])

    @override
    def before_instantiate_classes(self) -> None:
        """Resolves the config, and creates no run folder."""
        assert isinstance(self.parser, AppParser)
        self.resolved = resolved_config(self.parser, self.config)

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)

    @override
    def _run_subcommand(self, subcommand: str) -> None:
        """Runs nothing."""
