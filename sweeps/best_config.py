"""`best.yaml`: the config of a study's best trial."""

from pathlib import Path

import optuna
import yaml

from lightning_app.run import write_whole


def write_best_config(study: optuna.Study, metric: str, folder: Path) -> None:
    """Writes the config of the best trial: fit it, and the trial comes out again.

    Args:
        study: A study of one metric.
        metric: Its name.
        folder: Folder of the study.
    """
    best = study.best_trial
    configs = sorted((folder / "trials" / f"trial-{best.number:05d}").glob("*/config.yaml"))
    if configs:
        config = yaml.safe_load(configs[0].read_text())
        config.pop("run", None)
        head = f"# Trial {best.number} of {study.study_name}: {metric} {best.value:.6g}.\n"
        write_whole(folder / "best.yaml", head + yaml.safe_dump(config, sort_keys=False))
