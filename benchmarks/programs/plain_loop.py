"""The same model, batches, clipping, schedule and averaging as a config, in a plain PyTorch loop.

usage: plain_loop.py CONFIG EPOCHS
"""

import json
import sys
import time

import torch
from jsonargparse import ArgumentParser

import callbacks  # noqa: F401
import lightning_app.cli  # noqa: F401  # the same imports as a fit has
from datamodules import BaseDataModule
from models import BaseModule
from models.base import make_scheduler

torch.set_num_threads(1)
WARM_UP = 10


def main(config: str, epochs: int) -> None:
    parser = ArgumentParser()
    for name in ("seed_everything", "trainer"):
        parser.add_argument(f"--{name}", type=dict if name == "trainer" else int)
    parser.add_subclass_arguments(BaseModule, "model")
    parser.add_subclass_arguments(BaseDataModule, "data")
    for name in ("num_channels", "look_back", "horizon"):
        parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")
        parser.link_arguments(f"data.{name}", f"model.init_args.network.init_args.{name}", apply_on="instantiate")
    built = parser.instantiate_classes(parser.parse_path(config))
    model, data = built.model, built.data
    model.target_scale.set_statistics(data.statistics["target"])
    optimizer = model.optimizer_factory(model.parameters())
    loader = data.train_dataloader()
    scheduler = make_scheduler(model.scheduler_factory, optimizer, lambda: epochs * len(loader))
    average = [weight.detach().clone() for weight in model.parameters()]
    model.train()
    steps, start = 0, 0.0
    for epoch in range(epochs):
        loader.batch_sampler.position = lambda epoch=epoch: (epoch, 0)
        for batch in loader:
            if steps == WARM_UP:
                start = time.process_time()
            loss = model.step(batch).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            scheduler.step()
            steps += 1
            decay = min(0.996, (1 + steps) / (10 + steps))
            torch._foreach_lerp_(average, [weight.detach() for weight in model.parameters()], 1 - decay)
    seconds = time.process_time() - start
    print(json.dumps({"steps": steps - WARM_UP, "cpu_s_per_step": seconds / (steps - WARM_UP)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
