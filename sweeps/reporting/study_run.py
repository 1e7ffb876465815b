"""W&B run of a study: a row per finished trial, and at the end pictures, importances and the best trial."""

import json
import math
import os
import secrets
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from lightning_app.atomic_write import write_whole
from lightning_app.runs.run_folder import RunOptions
from lightning_app.runs.tracking import wandb_folders
from sweeps.reporting.outcome import Fits, seconds_of, values_of, why
from sweeps.reporting.ranking import best_so_far, in_order_of_end, ranked
from sweeps.reporting.selection import best_of
from sweeps.reporting.study_report import Report, Search
from sweeps.reporting.study_run_writer import ANOTHER_WRITES

_FINISH_SECONDS = 120.0


class StudyRun:
    """The run: group is the study, job type `study`.

    Each study folder has a run of its own, whose id lies beside it: a study that goes on in the same folder adds to the
    same run, hosts that share a database but no folder have a run each, with all trials in each of them. Of several
    commands on one folder the first writes; when it has ended, another one goes on.

    Args:
        study: Name of the study.
        folder: Its folder.
        search: How it searches; becomes the run's config.
        options: Project, entity and tags.
        mode: `online` or `offline`.
    """

    def __init__(self, *, study: str, folder: Path, search: Search, options: RunOptions, mode: str) -> None:
        self.search = search
        self.folder = folder
        self._sent: set[int] = set()
        (folder / "wandb").mkdir(exist_ok=True)
        id_file = folder / "wandb" / "study_run.id"
        if not id_file.exists():
            write_whole(id_file, f"{study}-{secrets.token_hex(4)}")
        config = {
            "study": study,
            "metrics": dict(search.metrics),
            "space": {parameter.key: parameter.kind for parameter in search.space.parameters},
            "search": dict(search.settings),
            "base": dict(search.base),
        }
        init = {
            "id": id_file.read_text(), "name": study, "group": study, "job_type": "study", "mode": mode,
            "project": options.project, "entity": options.entity, "tags": options.tags, "config": config,
        }  # fmt: skip
        with (folder / "study_run.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lightning_app.start", "sweeps.reporting.study_run_writer"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
                env={**os.environ, **wandb_folders(folder), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # Ctrl-C is for the coordinator
            )
        self._say({"folder": str(folder), "init": init})

    def log(self, study: optuna.Study) -> None:
        """Logs the trials that have ended since, those of other hosts among them.

        Args:
            study: The study.
        """
        ended = in_order_of_end(study.get_trials(deepcopy=False))
        if all(trial.number in self._sent for trial in ended):
            return
        bests: list[float] = [math.nan] * len(ended)
        if len(self.search.metrics) == 1:
            (direction,) = self.search.metrics.values()
            bests = best_so_far(ended, direction)
        rows = [
            self._row(trial, best) for trial, best in zip(ended, bests, strict=True) if trial.number not in self._sent
        ]
        self._sent.update(row["trial"] for row in rows)
        self._say({"rows": rows})

    def finish(self, study: optuna.Study, report: Report | None, *, exit_code: int) -> bool:
        """Logs the rest, and ends the run.

        Args:
            study: The study.
            report: What was written of it, with its pictures; None if it could not be written.
            exit_code: Not 0 if the sweep failed.

        Returns:
            Whether all went well, also where another command writes the run; else `study_run.log` says what did not.
        """
        self.log(study)
        summary: dict[str, Any] = {"trials": len(study.get_trials(deepcopy=False))}
        best = ranked(study, self.search.metrics)
        chosen = best_of(study, self.search.metrics) if len(self.search.metrics) == 1 else None
        if chosen is not None:
            summary["best"] = self._described(chosen.trial) if chosen.trial else {"trial": None}
            if chosen.how:
                summary["best"] |= {"name": chosen.name, "value": chosen.value, "chosen_by": chosen.how}
        elif best:
            summary["pareto_front"] = [self._described(trial) for trial in best]
        pictures = {}
        if report is not None:
            pictures = {name.lower().replace(" ", "_"): str(path) for name, path in report.pictures.items()}
            summary["importances"] = {
                metric: {f"{branch.title()} ({branch.num_trials} trials)": branch.shares for branch in branches}
                for metric, branches in report.importances.items()
            }
        self._say({"finish": {"exit_code": exit_code, "summary": summary, "pictures": pictures}})
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            ended = self._process.wait(timeout=_FINISH_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        if ended == ANOTHER_WRITES:
            print("W&B: another command that works in this folder writes the run of the study")  # noqa: T201
        return ended in (0, ANOTHER_WRITES)

    def _row(self, trial: FrozenTrial, best: float) -> dict[str, Any]:
        row: dict[str, Any] = {"trial": trial.number, "state": trial.state.name.lower()}
        if (seconds := seconds_of(trial)) is not None:
            row["duration"] = seconds
        if cause := why(trial):
            row["why"] = cause
        row |= dict(zip(self.search.metrics, values_of(trial), strict=False))
        if (fits := Fits.of(trial)) is not None:
            row["num_seeds"] = len(fits.values)
            for position, name in enumerate(self.search.metrics):
                if (deviation := fits.spread(position)) is not None:
                    row[f"{name}.std"] = deviation
        if not math.isnan(best):
            row["best_so_far"] = best
        return row

    def _described(self, trial: FrozenTrial) -> dict[str, Any]:
        values = dict(zip(self.search.metrics, values_of(trial), strict=False))
        return {"trial": trial.number, "values": values, "parameters": dict(trial.params)}

    def _say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # tracking that fails does not stop a sweep
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
