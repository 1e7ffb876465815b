"""Arguments of the four training verbs besides those of LightningCLI: run, trust, output, card and so on."""

import jsonargparse
from lightning.pytorch.cli import LightningArgumentParser

from datamodules import BaseDataModule
from lightning_app.card_options import CardOptions
from lightning_app.cli.merged_callbacks import merge_callbacks
from lightning_app.errors import UsageError
from lightning_app.runs.run_folder import RunOptions
from models.trusted_classes import imported


def add_run_arguments(parser: LightningArgumentParser) -> None:
    """Adds them to the parser of a verb.

    Args:
        parser: The parser.
    """
    parser.add_argument("--run", type=RunOptions, default=RunOptions(), help="Where the run is kept and tracked.")
    parser.add_argument(
        "--trust",
        type=list[str],
        default=[],
        help="Module whose code a run folder, checkpoint or package may name; your own -c needs none.",
    )
    parser.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="New folder for what a test, validation or prediction writes; default: the run folder.",
    )
    parser.add_argument(
        "--allow_changed_data",
        action="store_true",
        help="Use a checkpoint although its data have changed since it was trained.",
    )
    parser.add_argument(
        "--card", type=CardOptions, default=CardOptions(), help="What only a person can write on the model card."
    )


def settle_run_arguments(config: jsonargparse.Namespace) -> None:
    """Refuses arguments of LightningCLI that have no meaning here, and merges callbacks of several configs.

    Args:
        config: Config of the verb, changed in place.

    Raises:
        UsageError: It gives one.
    """
    config.trainer.callbacks = merge_callbacks(config.trainer.callbacks)
    if config.get("weights_only") is False:
        raise UsageError("weights_only: false given; a checkpoint is data, and never unpickled: leave it out")
    if config.trainer.default_root_dir is not None:
        raise UsageError("trainer.default_root_dir: it is the run folder; give the folder of all runs as run.root")
    if _is_own_data(config.get("data")):
        config.trainer.use_distributed_sampler = False  # our loaders deal out the samples themselves


def _is_own_data(data: jsonargparse.Namespace | None) -> bool:
    kind = None if data is None else imported(data.class_path)
    return isinstance(kind, type) and issubclass(kind, BaseDataModule)
