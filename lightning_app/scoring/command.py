"""`lightning-app score`: predictions for every row of a table, by a package or a registered model."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

import polars as pl

from lightning_app.errors import UsageError
from lightning_app.scoring.engines import Engine, LocalEngine, num_cores
from lightning_app.scoring.job import RejectionBound, ScoreJob
from lightning_app.scoring.progress import RowProgress
from lightning_app.terminal import plain, print_json
from lightning_app.verb_parser import VerbParser

_SHOWN = 3


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: The command line, verb first.
    """
    parser = VerbParser("score", description=__doc__, epilog="A job that was killed goes on where it stopped.")
    parser.add_argument("model", help="NAME@champion, NAME@3, NAME, or the folder of a package")
    parser.add_argument("data", nargs="+", help="parquet, CSV or Arrow: files, folders, patterns")
    parser.add_argument("--output", required=True, help="file of the predictions, ends in .parquet")
    parser.add_argument(
        "--keys", default=None, help="columns to keep, with commas; default: all that the model does not read"
    )
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="threads here, or Ray (RAY_ADDRESS)"
    )
    parser.add_argument("--registry", default=None, help="where NAME is registered; default: $MLFLOW_TRACKING_URI")
    parser.add_argument("--workers", type=int, default=None, help="sessions at a time; default: one per core")
    parser.add_argument(
        "--max-rejected", type=_bound, default="1%", help="rejected rows that are allowed: 100, or 1%% (the default)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an output, rejected rows or parts that another job left"
    )
    parser.add_argument("--json", action="store_true", help="print what came of it as JSON")
    given, rest = parser.split(args)
    if rest:
        raise UsageError(f"score: {rest[0]!r}: nothing is run that takes options")
    if given.workers is not None and given.workers < 1:
        raise UsageError(f"workers: {given.workers} given, at least 1 is needed")
    job = ScoreJob(
        **_model(given.model, given.registry),
        data=given.data,
        output=Path(given.output),
        keys=None if given.keys is None else [key for key in given.keys.split(",") if key],
        bound=given.max_rejected,
        overwrite=given.overwrite,
    )
    if job.left_out and not given.json:
        print(plain(f"left out: {', '.join(job.left_out)} (the output gets its own)"))  # noqa: T201
    progress = RowProgress(job.files.num_rows)
    result = job.run(_engine(given.engine, given.workers or num_cores()), on_progress=progress.update)
    if given.json:
        print_json({**asdict(result), "left_out": list(job.left_out)})
        return
    if result.was_finished:
        print("this job was finished before; nothing was done (--overwrite scores anew)")  # noqa: T201
    with pl.Config(tbl_hide_dataframe_shape=True):
        print(plain(str(pl.scan_parquet(result.output).head(_SHOWN).collect())))  # noqa: T201
    print(f"predictions: {result.output} ({result.num_rows - result.num_rejected:,} rows)")  # noqa: T201
    if result.num_rejected:
        print(f"rejected: {result.rejected} ({result.num_rejected:,} rows)")  # noqa: T201


class _Model(TypedDict):
    """The folder of a package, what stands in each row, and what the folder must hold."""

    package: Path
    version: str | None
    digest: str | None


def _model(reference: str, registry: str | None) -> _Model:
    if Path(reference).is_dir():
        return {"package": Path(reference), "version": None, "digest": None}
    from lightning_app.registry import Registry

    found = Registry(registry).resolve(reference)
    return {"package": found.path, "version": f"{found.name}@{found.version}", "digest": found.digest}


def _engine(name: str, workers: int) -> Engine:
    if name == "local":
        return LocalEngine(workers=workers)
    from lightning_app.scoring.ray_engine import RayEngine

    return RayEngine(workers=workers)


def _bound(word: str) -> RejectionBound:
    """A number of rows, or a share."""
    try:
        if word.endswith("%"):
            return RejectionBound(share=float(word.removesuffix("%")) / 100)
        return RejectionBound(rows=int(word))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{word!r} given, a number of rows or a share like 1% is needed") from error
