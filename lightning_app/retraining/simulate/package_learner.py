"""PackageLearner: the training of the policy itself, as a process per fit, and packages that answer."""

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from typing_extensions import override

from lightning_app.config.shipped_configs import find_config
from lightning_app.packaging import Package
from lightning_app.retraining.config.policy import RetrainPolicy
from lightning_app.retraining.executors.executor import Done, Failed, read_result
from lightning_app.retraining.gate.row_errors import row_errors
from lightning_app.retraining.simulate.learner import FitFailedError, Fitted, Learner
from lightning_app.retraining.simulate.replay_rows import ReplayRows
from lightning_app.retraining.training_job.job_file import JobFile, write_job_file


class PackageLearner(Learner):
    """Runs `lightning-app fit` and `export` with the config of the policy.

    Args:
        rows: Rows of the replay.
        policy: The policy.
        folder: Where fits keep their files; what an earlier replay left there is removed.
    """

    def __init__(self, rows: ReplayRows, *, policy: RetrainPolicy, folder: Path) -> None:
        self._rows, self._policy, self._folder = rows, policy, folder
        self._fits = 0
        self.error_name = "error of the package"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    @override
    def fit(self, rows: np.ndarray) -> Fitted:
        self._fits += 1
        folder = self._folder / f"{self._fits:04}"
        job = folder / "job"
        job.mkdir(parents=True)
        self._rows.table[rows].write_parquet(folder / "train.parquet")
        training = self._policy.training
        write_job_file(
            job,
            JobFile(
                model=self._policy.model,
                cycle_id=f"simulate-{self._fits}",
                attempt=1,
                config=str(Path(find_config(training.config)).resolve()),
                rows_key=training.rows,
                rows=str((folder / "train.parquet").resolve()),
                overrides=training.overrides,
                checkpoint=None,
                start="scratch",
                sweep=training.sweep,
                runs=str((folder / "run").resolve()),
                package=str((folder / "package").resolve()),
                working_folder=str(Path.cwd()),
            ),
        )
        before = _cpu_of_children()
        with (job / "log.txt").open("wb") as log:
            command = [sys.executable, "-m", "lightning_app.retraining.training_job", str(job)]
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        self.cpu_seconds += _cpu_of_children() - before
        done = read_result(job)
        if not isinstance(done, Done) or done.result.package is None:
            reason = done.reason if isinstance(done, Failed) else "it left no package"
            raise FitFailedError(f"fit {self._fits}: {reason}; see {job / 'log.txt'}")
        package = Package.load(done.result.package)
        shutil.rmtree(folder / "run", ignore_errors=True)
        return _FittedPackage(package, self._rows, self)


class _FittedPackage(Fitted):
    def __init__(self, package: Package, rows: ReplayRows, learner: PackageLearner) -> None:
        self._package, self._rows, self._learner = package, rows, learner

    @override
    def errors(self, rows: np.ndarray) -> np.ndarray:
        if not len(rows):
            return np.empty(0)
        raw = self._package.predictor.raw_input
        context = None if raw is None or raw.by_row else self._rows.table[: int(rows[0])]
        measured = row_errors(self._package, self._rows.table[rows], label=self._rows.label, context=context)
        self._learner.error_name = measured.error_name
        return measured.errors


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
