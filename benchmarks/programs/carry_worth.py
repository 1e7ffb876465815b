"""Validation loss of a language model with carried state, and with the state reset every 64 steps.

usage: carry_worth.py CONFIG [OPTION ...]
"""

import json
import sys
import tempfile
import time

import torch

from lightning_app.cli import run

torch.set_num_threads(1)


@torch.no_grad()
def loss_of(model, data, every: int | None) -> float:
    total = weight = 0.0
    for batch in data.val_dataloader():
        if every is not None:
            batch["reset"][:, ::every] = True
        output = model.step(batch)
        total, weight = total + float(output.loss) * output.weight, weight + output.weight
    return total / weight


def main(config: str, options: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        sys.argv = ["lightning-app"]
        fitted = run(["fit", "-c", config, *options, "--run.root", root])
        seconds = time.process_time()
        best = torch.load(fitted.folder.checkpoints / "best.ckpt", weights_only=True)["state_dict"]
        metrics = fitted.folder.read_metrics()
    fitted.model.load_state_dict(best)
    model = fitted.model.eval()
    print(
        json.dumps(
            {
                "cpu_seconds": seconds,
                "parameters": fitted.model.num_fitted,
                "val_loss": metrics["val/loss"],
                "carried": loss_of(model, fitted.datamodule, None),
                "reset": loss_of(model, fitted.datamodule, 64),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
