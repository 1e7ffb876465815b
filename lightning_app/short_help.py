"""Short help: one screen for fit, validate, test and predict, whose full parser has about 600 lines of options."""

import textwrap
from itertools import groupby

from lightning_app.config.shipped_configs import shipped_names

TRAINS = {
    "fit": "-c forecasting/co2_phase --trainer.max_epochs 5",
    "validate": "--ckpt_path runs/co2_phase/<run>/checkpoints/best.ckpt",
    "test": "--ckpt_path runs/co2_phase/<run>/checkpoints/best.ckpt",
    "predict": "-c forecasting/co2_phase --ckpt_path best",
}
"""Verbs with a short page, each with its example."""
_CONFIG = "the experiment; with several, later ones win"
_OPTIONS = (
    ("-c, --config CONFIG", _CONFIG),
    ("--ckpt_path FILE", "checkpoint, or 'best' or 'last' of the newest run"),
    ("--seed_everything N", "random seed"),
    ("--trainer.max_epochs N", "and every other argument of Lightning's Trainer"),
    ("--trainer.callbacks+=NAME", "one more callback, yours as file.Class"),
    ("--model.optimizer.lr X", "and every other argument of the model"),
    ("--model.network NAME", "another network, yours as file.Class"),
    ("--data.batch_size N", "and every other argument of the data module"),
    ("--run.name NAME", "experiment; --run.root FOLDER, --run.wandb MODE"),
    ("--card.intended_use TEXT", "and the other sections of the model card"),
    ("--print_config", "print the resolved config, and stop"),
)
_MORE = (
    ("--model.help CLASS", "arguments of a model class; --data.help CLASS"),
    ("--model CLASS --model.network.help CLASS", "arguments of a network class"),
    ("--help all", "every option"),
)


def short_help(verb: str, purpose: str) -> str:
    """Renders the short help page of a verb.

    Args:
        verb: One of `TRAINS`.
        purpose: One line on what the verb does.
    """
    width = max(len(option) for option, _ in _OPTIONS)
    options = [f"  {option:<{width}}  {text}" for option, text in _OPTIONS]
    more = [f"  {option}: {text}" for option, text in _MORE]
    lines = [
        f"usage: lightning-app {verb} -c CONFIG [OPTION VALUE ...]",
        "",
        purpose,
        "",
        "options:",
        *options,
        "",
        "CONFIG is a file, or the name of a shipped one:",
        *_known_configs(),
        "",
        "more:",
        *more,
        "",
        f"example: lightning-app {verb} {TRAINS[verb]}",
    ]
    return "\n".join(lines)


def _known_configs() -> list[str]:
    """One wrapped line per folder of shipped configs that `fit` accepts."""
    lines = []
    for folder, names in groupby(shipped_names(), key=lambda name: name.split("/")[0]):
        if folder in ("gates", "monitoring", "retraining", "serving", "sweeps"):
            continue
        known = [name.partition("/")[2] for name in names]
        line = f"{folder}/ {' '.join(known)}"
        lines += textwrap.wrap(line, width=88, initial_indent="  ", subsequent_indent="    ")
    return lines
