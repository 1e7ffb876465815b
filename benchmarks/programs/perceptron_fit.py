"""The perceptron of configs/tabular/adult.yaml through the command, or in a plain PyTorch loop from the same arrays.

usage: perceptron_fit.py command|plain EPOCHS HIDDEN_SIZE
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

CONFIG = str(Path(__file__).resolve().parents[2] / "configs/tabular/adult.yaml")
BATCH_SIZE = 256
torch.set_num_threads(1)


class Clock(Callback):
    """CPU time of the fit: from the first epoch, after setup and sanity check, to the end of training."""

    def on_train_start(self, trainer, pl_module) -> None:
        self.start = time.process_time()

    def on_train_end(self, trainer, pl_module) -> None:
        self.seconds = time.process_time() - self.start


def through_the_command(epochs: int, hidden_size: int) -> dict[str, float]:
    from lightning_app.cli import run

    with tempfile.TemporaryDirectory() as root:
        sys.argv = ["lightning-app"]
        size = ["--model.network.init_args.hidden_size", str(hidden_size)]
        options = [
            "--trainer.max_epochs",
            str(epochs),
            "--trainer.callbacks+=__main__.Clock",
            "--run.root",
            root,
            *size,
        ]
        cli = run(["fit", "-c", CONFIG, *options])
    (clock,) = (callback for callback in cli.trainer.callbacks if type(callback).__name__ == "Clock")
    return {"seconds": clock.seconds, "val_loss": float(cli.trainer.callback_metrics["val/loss"])}


def plain_loop(epochs: int, hidden_size: int) -> dict[str, float]:
    import yaml
    from torchmetrics import MetricCollection
    from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, BinaryF1Score

    from datamodules.tabular import FeatureTableDataModule, RandomSplit
    from datamodules.tabular.text_table import TextFormat
    from models.schedules import OneCycle
    from models.tabular import MLP

    given = yaml.safe_load(Path(CONFIG).read_text())
    arguments = given["data"]["init_args"]
    arguments["csv"] = TextFormat(**arguments["csv"])
    arguments["split"] = RandomSplit(**arguments["split"]["init_args"])
    data = FeatureTableDataModule(**arguments)
    statistics, arrays, rows = data.statistics, data.arrays, data.split_rows
    missing = arrays["numbers"].isnan()
    numbers = ((arrays["numbers"] - statistics["mean"]) / statistics["std"]).masked_fill(missing, 0.0)
    missing = missing.float() * statistics["may_miss"]
    categories, targets = arrays["categories"], arrays["target"].float()
    torch.manual_seed(0)
    network = MLP(
        num_numbers=data.num_numbers,
        cardinalities=data.cardinalities,
        output_size=1,
        hidden_size=hidden_size,
        dropout=0.2,
    )
    loss_function = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.003, weight_decay=0.01)
    train, val = torch.from_numpy(rows.train), torch.from_numpy(rows.val)
    steps = len(train) // BATCH_SIZE
    scheduler = OneCycle(optimizer, total_steps=epochs * steps)
    metrics = MetricCollection([BinaryAccuracy(), BinaryF1Score(), BinaryAUROC()])

    def logits(part: Tensor) -> Tensor:
        return network(numbers[part], missing[part], categories[part]).squeeze(-1)

    start = time.process_time()
    val_loss = 0.0
    for epoch in range(epochs):
        network.train()
        order = train[torch.from_numpy(np.random.default_rng([0, epoch]).permutation(len(train)))]
        for step in range(steps):
            part = order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]
            loss = loss_function(logits(part), targets[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
        network.eval()
        with torch.no_grad():
            answers = logits(val)
            val_loss = float(loss_function(answers, targets[val]))
            metrics(answers.sigmoid(), targets[val].long())
            metrics.reset()
    return {"seconds": time.process_time() - start, "val_loss": val_loss}


if __name__ == "__main__":
    print(json.dumps({"command": through_the_command, "plain": plain_loop}[sys.argv[1]](*map(int, sys.argv[2:]))))
