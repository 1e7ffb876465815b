"""FoldResult: metrics of one fold and its out-of-fold predictions, kept in the folder of a cross-validation."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
import torch

from datamodules.tabular import FeatureTableDataModule
from lightning_app.atomic_write import replacing, write_whole
from lightning_app.cli import run as run_verb
from lightning_app.commands.fold_plan import Experiment, data_of
from lightning_app.config.trust import split_trust
from lightning_app.errors import UsageError
from models import BaseModule
from models.trusted_classes import TrustedClasses


@dataclass(frozen=True)
class FoldResult:
    """Result of one fold of one config.

    Attributes:
        fold: Index of the fold.
        metrics: Metrics of the test rows.
        train: Number of training rows.
        val: Number of validation rows.
        test: Number of test rows.
        labelled: Number of rows with a label, whichever fold they are in.
        seconds: CPU seconds of the fit.
        run: Run folder.
    """

    fold: int
    metrics: dict[str, float]
    train: int
    val: int
    test: int
    labelled: int
    seconds: float
    run: str


def fold_result(experiment: Experiment, fold: int, *, folder: Path, options: Sequence[str]) -> FoldResult:
    """The result of a fold: read where it is finished, else fitted and tested.

    Args:
        experiment: The config and its folds.
        fold: Index of the fold.
        folder: Folder of the cross-validation.
        options: Further options of each fit.

    Raises:
        UsageError: The config trains on more than one process.
    """
    path = folder / "folds" / f"{experiment.name}-{fold}.json"
    if path.is_file():
        return FoldResult(**json.loads(path.read_text()))
    words = ["fit", "-c", experiment.config, *options, *experiment.folds[fold], "--run.root", str(folder / "runs")]
    started = time.process_time()
    fitted = run_verb(words)
    seconds = time.process_time() - started
    if fitted.trainer.world_size > 1:
        raise UsageError("cross-validate: it runs on one process; fit and test a model on several by themselves")
    named, _ = split_trust(words)
    with TrustedClasses(named):  # modules trusted for the fit are trusted for its test
        tested = run_verb(["test", "--ckpt_path", str(fitted.folder.checkpoints / "best.ckpt")])
        data = data_of(tested)
        predictions = test_predictions(tested.model, data)
    parts = data.split_rows
    metrics = {name: value for name, value in fitted.folder.read_metrics().items() if name.startswith("test/")}
    result = FoldResult(
        fold=fold, metrics=metrics, train=len(parts.train), val=len(parts.val), test=len(parts.test),
        labelled=len(data.labelled_rows), seconds=seconds, run=str(fitted.folder.path),
    )  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    table = predictions.select(
        pl.lit(experiment.name).alias("config"), pl.lit(fold, dtype=pl.Int64).alias("fold"), pl.all()
    )
    with replacing(path.with_suffix(".parquet")) as partial:
        table.write_parquet(partial)
    write_whole(path, json.dumps(asdict(result), indent=2) + "\n")  # last: a fold that was killed is none
    return result


@torch.inference_mode()
def test_predictions(model: BaseModule, data: FeatureTableDataModule) -> pl.DataFrame:
    """Predictions of the test rows with their truth: `row`, keys, truth, predictions.

    Args:
        model: The model with the weights that were tested.
        data: Its data.
    """
    model.eval()
    tables = []
    for index, batch in enumerate(data.test_dataloader()):
        on_device = model.transfer_batch_to_device(batch, model.device, 0)
        outputs = {name: value.cpu() for name, value in model.predict_step(on_device, index).items()}
        table = data.prediction_table(outputs)
        keys = ["row", *(name for name in data.key_names if name in table.columns)]
        truth = data.truth_columns(outputs["row"].numpy())
        tables.append(pl.DataFrame([*table.select(keys), *truth, *table.drop(keys)]))
    return pl.concat(tables)
