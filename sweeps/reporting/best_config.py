"""`best.yaml`: the config of a study's best trial."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import yaml

from lightning_app.atomic_write import write_whole
from sweeps.reporting.ranking import ranked


def write_best_config(
    study: optuna.Study,
    metrics: Mapping[str, str],
    folder: Path,
    *,
    run: Mapping[str, Any],
    threads: str | None = None,
) -> None:
    """Writes the config of the best trial that keeps within its bounds: fit it, and the trial comes out again.

    Args:
        study: A study of one metric.
        metrics: Its name and direction.
        run: The section `run` of the config: where it is fitted again, under which name.
        threads: Threads of a trial: sums come out in another order, and weights in other last digits, with others.
        folder: Folder of the study; without the trial's run in it, no file is left.
    """
    found = ranked(study, metrics)
    if not found:
        return
    best = found[0]
    configs = sorted((folder / "trials" / f"trial-{best.number:05d}").glob("*/config.yaml"))
    if not configs:
        (folder / "best.yaml").unlink(missing_ok=True)  # it lies with the host that ran the best trial
        return
    config = yaml.safe_load(configs[-1].read_text())  # of the run that ended it
    config["run"] = dict(run)  # its own has the folder of the trial
    (metric,) = metrics
    with_threads = f" OMP_NUM_THREADS={threads} gives the same weights, bit for bit." if threads else ""
    head = f"# Trial {best.number} of {study.study_name}: {metric} {best.value:.6g}.{with_threads}\n"
    write_whole(folder / "best.yaml", head + yaml.safe_dump(config, sort_keys=False))
