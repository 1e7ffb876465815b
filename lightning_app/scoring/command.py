"""Score command: `lightning-app score` predicts every row of a table with a package or a registered model."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

import polars as pl

from features.store import open_store
from lightning_app.errors import UsageError
from lightning_app.packaging.runtime.contents import PackageContents
from lightning_app.packaging.runtime.requests.further_tables import further_files
from lightning_app.scoring.engines import Engine, LocalEngine, num_cores
from lightning_app.scoring.job import RejectionBound, ScoreJob, ScoreResult
from lightning_app.scoring.progress import RowProgress
from lightning_app.scoring.raw_job import RawScoreJob, reads_whole
from lightning_app.terminal import plain, print_json
from lightning_app.verb_parser import VerbParser

_SHOWN = 3


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser("score", description=__doc__, epilog="A killed job resumes where it stopped.")
    parser.add_argument("model", help="NAME@champion, NAME@3, NAME, or the folder of a package")
    parser.add_argument(
        "data",
        nargs="+",
        help="parquet, CSV, Arrow, or text: files, folders, glob patterns; NAME=FILES for each of several raw tables",
    )
    parser.add_argument("--output", required=True, help="file of the predictions, ends in .parquet")
    parser.add_argument(
        "--keys", default=None, help="columns to keep, separated by commas; default: all that the model does not read"
    )
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="local threads, or Ray (RAY_ADDRESS)"
    )
    parser.add_argument("--registry", default=None, help="where NAME is registered; default: $MLFLOW_TRACKING_URI")
    parser.add_argument("--workers", type=int, default=None, help="parallel sessions; default: one per core")
    parser.add_argument(
        "--max-rejected", type=_bound, default="1%", help="allowed rejected rows: 100, or 1%% (the default)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an output, rejected rows or parts that another job left"
    )
    parser.add_argument(
        "--contract",
        default=None,
        metavar="FILE",
        help="contract of the data; default: that of the package, of raw rows",
    )
    parser.add_argument(
        "--store",
        default=None,
        metavar="URL",
        help="raw rows: online store that holds their history, so that keys and requested columns are enough: "
        "path, sqlite:///, redis:// or postgresql://",
    )
    parser.add_argument("--namespace", default=None, help="project in the store, if several share it")
    parser.add_argument(
        "--table",
        action="append",
        default=[],
        metavar="SOURCE=FILE",
        help="raw rows: table of a further source that the features read; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--at",
        default=None,
        help="raw rows: the time asked about; of time series last (default), all, or TIME,TIME,...",
    )
    arguments, rest = parser.split(args)
    if rest:
        raise UsageError(f"score: {rest[0]!r} given after --, where score takes nothing")
    if arguments.workers is not None and arguments.workers < 1:
        raise UsageError(f"workers: {arguments.workers} given, at least 1 is needed")
    model = _model(arguments.model, arguments.registry)
    contents = PackageContents.read(model["package"])
    if arguments.namespace is not None and arguments.store is None:
        raise UsageError(f"namespace: {arguments.namespace!r} given without --store, whose project it names")
    if arguments.store is not None or arguments.table or reads_whole(contents, arguments.data):
        _score_raw(arguments, contents, model)
        return
    if arguments.at is not None:
        raise UsageError("at: given with a table that is not answered as a whole")
    job = ScoreJob(
        **model,
        data=arguments.data,
        output=Path(arguments.output),
        keys=None if arguments.keys is None else [key for key in arguments.keys.split(",") if key],
        bound=arguments.max_rejected,
        overwrite=arguments.overwrite,
        contract=arguments.contract,
    )
    if job.left_out and not arguments.json:
        print(plain(f"left out: {', '.join(job.left_out)} (the model writes columns of these names)"))  # noqa: T201
    progress = RowProgress(job.files.num_rows)
    result = job.run(_engine(arguments.engine, arguments.workers or num_cores()), on_progress=progress.update)
    if not arguments.json:
        for note in result.notes:
            print(plain(note))  # noqa: T201
    _show(result, left_out=list(job.left_out), as_json=arguments.json)


def _score_raw(arguments: argparse.Namespace, contents: PackageContents, model: "_Model") -> None:
    """Scores a table that is read whole."""
    for name, value, allowed in (("engine", arguments.engine, "local"), ("keys", arguments.keys, None)):
        if value != allowed:
            raise UsageError(
                f"{name}: {value!r} given, raw rows with a history are read whole by one process, answered with the "
                f"names and times of the table; leave --{name} out"
            )
    if arguments.workers is not None:
        raise UsageError(
            f"workers: {arguments.workers} given, raw rows with a history are answered by one; leave it out"
        )
    at = arguments.at
    job = RawScoreJob(
        package=contents,
        version=model["version"],
        digest=model["digest"],
        data=arguments.data,
        output=Path(arguments.output),
        at=at if at in (None, "last", "all") else at.split(","),
        bound=arguments.max_rejected,
        overwrite=arguments.overwrite,
        contract=arguments.contract,
        further=further_files(arguments.table),
        store=None if arguments.store is None else open_store(arguments.store),
        namespace=arguments.namespace or "default",
    )
    if job.unread and not arguments.json:
        print(plain(f"not read: {', '.join(job.unread)}"))  # noqa: T201
    result = job.run()
    if not arguments.json:
        for note in result.notes:
            print(plain(note))  # noqa: T201
    _show(result, left_out=job.unread, as_json=arguments.json)


def _show(result: ScoreResult, *, left_out: list[str], as_json: bool) -> None:
    """Prints the result of a job."""
    if as_json:
        print_json({**asdict(result), "left_out": left_out})
        return
    if result.was_finished:
        print("this job is already finished; nothing was done (--overwrite scores again)")  # noqa: T201
    num_answered = pl.scan_parquet(result.output).select(pl.len()).collect().item()
    with pl.Config(tbl_hide_dataframe_shape=True):
        print(plain(str(pl.scan_parquet(result.output).head(_SHOWN).collect())))  # noqa: T201
    print(f"predictions: {result.output} ({num_answered:,} rows)")  # noqa: T201
    if result.num_rejected:
        print(f"rejected: {result.rejected} ({result.num_rejected:,} rows)")  # noqa: T201


class _Model(TypedDict):
    """Arguments of `ScoreJob` that name the package, its version and its expected digest."""

    package: Path
    version: str | None
    digest: str | None


def _model(reference: str, registry: str | None) -> _Model:
    if Path(reference).is_dir():
        return {"package": Path(reference), "version": None, "digest": None}
    from lightning_app.registry import Registry

    resolved = Registry(registry).resolve(reference)
    return {"package": resolved.path, "version": f"{resolved.name}@{resolved.version}", "digest": resolved.digest}


def _engine(name: str, workers: int) -> Engine:
    if name == "local":
        return LocalEngine(workers=workers)
    from lightning_app.scoring.ray_engine import RayEngine

    return RayEngine(workers=workers)


def _bound(word: str) -> RejectionBound:
    """Parses a number of rows or a percentage."""
    try:
        if word.endswith("%"):
            return RejectionBound(share=float(word.removesuffix("%")) / 100)
        return RejectionBound(rows=int(word))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{word!r} given, a number of rows or a share like 1% is needed") from error
