"""`best.yaml`: the config of the best trial, or the base config where a re-evaluation found no better one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import yaml

from lightning_app.atomic_write import write_whole
from sweeps.reporting.outcome import Fits, trial_name
from sweeps.reporting.selection import best_of


def write_best_config(
    study: optuna.Study,
    metrics: Mapping[str, str],
    folder: Path,
    *,
    run: Mapping[str, Any],
    base: Mapping[str, Any],
    threads: str | None = None,
) -> None:
    """Writes the config of the best trial that keeps within its bounds: fit it, and the trial comes out again.

    Args:
        study: A study of one metric.
        metrics: Its name and direction.
        run: The section `run` of the config: where it is fitted again, under which name.
        base: The resolved config that the trials vary.
        threads: Threads of a trial: sums come out in another order, and weights in other last digits, with others.
        folder: Folder of the study; without the trial's run in it, no file is left.
    """
    best = best_of(study, metrics)
    if best is None:
        return
    if best.trial is None:
        config, same = dict(base), ""
    else:
        configs = sorted((folder / "trials" / trial_name(best.trial.number)).glob("*/config.yaml"))
        if not configs:
            (folder / "best.yaml").unlink(missing_ok=True)  # it lies with the host that ran the best trial
            return
        config = yaml.safe_load(configs[-1].read_text())  # of the run that ended it
        fits = Fits.of(best.trial)
        which = f"the weights of its seed {fits.seeds[0]}" if fits else "the same weights"
        same = f" OMP_NUM_THREADS={threads} gives {which}, bit for bit." if threads else ""
    config["run"] = dict(run)  # its own has the folder of the trial
    (metric,) = metrics
    how = f", by {best.how}" if best.how else ""
    head = f"# {best.name[0].upper()}{best.name[1:]} of {study.study_name}: {metric} {best.value}{how}.{same}\n"
    write_whole(folder / "best.yaml", head + yaml.safe_dump(config, sort_keys=False))
