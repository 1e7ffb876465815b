"""Features command: `lightning-app features select` keeps the features that a label needs, and writes them as a file.

Rows are split by time. `importance` fits boosted stumps on the earlier 3/4 and shuffles each feature among the later
1/4; `correlation` ranks by mutual information with the label and drops of two alike the lesser.
"""

import os
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from rich.table import Table

from features.batch import training_table
from features.batch.fit import fit
from features.batch.request import row_times
from features.batch.training_table import public_names
from features.definitions import Definitions, FittedFeature, FutureAggregate
from features.selection import Scored, SelectionTable, by_correlation, by_importance, reduced_definitions
from features.sources import TIME, Notes, read_source
from lightning_app.atomic_write import write_whole
from lightning_app.errors import UsageError
from lightning_app.features_commands.rows_table import read_rows
from lightning_app.features_commands.store_options import definitions_file
from lightning_app.terminal import plain_console, print_json, show
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: An option is wrong.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="Fitted features must be fitted anew for the new file.")
    parser.add_argument("file", metavar="FEATURES.yaml", help="definitions of features")
    parser.add_argument("--label", required=True, help="label of the definitions")
    parser.add_argument(
        "--rows", type=Path, default=None, metavar="TABLE", help="default: events of the label's source"
    )
    parser.add_argument("--at", default="time", help="column of the times; default: time")
    parser.add_argument("--features", nargs="+", default=None, metavar="NAME", help="features or views; default: all")
    parser.add_argument("--keep", type=int, required=True, metavar="K", help="number of features to keep")
    parser.add_argument("--method", choices=("importance", "correlation"), default="importance", help="how to rank")
    parser.add_argument("--max-correlation", type=float, default=0.95, help="correlation: bound; default: 0.95")
    parser.add_argument("--max-rows", type=int, default=50_000, help="rows drawn at random; default: 50000")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--output", type=Path, required=True, metavar="REDUCED.yaml", help="file to write")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(args[1:])
    if arguments.keep < 1:
        raise UsageError(f"keep: {arguments.keep} given, at least 1 is needed")
    if arguments.output.suffix not in (".yaml", ".yml"):
        raise UsageError(f"output: {str(arguments.output)!r} given, a file that ends in .yaml is needed")
    definitions, root = definitions_file(arguments)
    label = definitions.label(arguments.label)
    chosen = definitions.select(arguments.features)
    notes = Notes()
    if arguments.rows is not None:
        rows, at = read_rows(arguments.rows, definitions), arguments.at
    elif isinstance(label, FutureAggregate):
        rows, at = _events_of(label, definitions, root, notes), TIME
    else:
        raise UsageError(f"rows: none given, and the label {arguments.label!r} is a column of them; give --rows")
    if rows.height > arguments.max_rows:
        drawn = np.sort(np.random.default_rng(arguments.seed).choice(rows.height, arguments.max_rows, replace=False))
        notes.add("rows", f"left out: {arguments.max_rows:,} of {rows.height:,} drawn", rows.height - len(drawn))
        rows = rows[drawn]
    table = _table(definitions, rows, at, chosen, arguments.label, root=root, notes=notes)
    explained = None
    if arguments.method == "importance":
        scored, explained = by_importance(table, keep=arguments.keep, seed=arguments.seed)
    else:
        scored = by_correlation(table, keep=arguments.keep, max_correlation=arguments.max_correlation)
    kept = [one.name for one in scored if one.kept]
    reduced = reduced_definitions(definitions, kept, labels=[arguments.label])
    write_whole(arguments.output, _moved(reduced, root, arguments.output.parent).to_yaml())
    for line in notes.lines():
        plain_console(stderr=True).print(f"note: {line}")
    read = [full for full in reduced.select() if full not in kept]
    counts = {"training": int(table.train.sum()), "validation": int((~table.train).sum())}
    if arguments.json:
        features = [msgspec.to_builtins(one) for one in scored]
        print_json({"features": features, "read_by_kept": read, "rows": counts, "explained": explained})
        return
    _show(scored, read, counts, explained, by_method=arguments.method)
    print(f"definitions: {arguments.output} ({len(kept)} kept, {len(read)} that they read)")  # noqa: T201


def _events_of(label: FutureAggregate, definitions: Definitions, root: Path, notes: Notes) -> pl.DataFrame:
    keys = definitions.entities[label.entity].keys
    source = definitions.sources[label.source]
    events = read_source(source, name=label.source, keys=keys, notes=notes, columns=[], root=root)
    return events.select(*keys, TIME).unique(maintain_order=True).collect()


def _table(
    definitions: Definitions,
    rows: pl.DataFrame,
    at: str | datetime,
    chosen: tuple[str, ...],
    label: str,
    *,
    root: Path,
    notes: Notes,
) -> SelectionTable:
    times = row_times(rows, at, definitions, {}, notes=notes)
    place = times.to_physical().rank("ordinal").fill_null(0).to_numpy()
    train = place <= 0.75 * rows.height
    with_state = any(isinstance(definitions.feature(full), FittedFeature) for full in chosen)
    fitted = None
    if with_state:
        fitted = fit(definitions, rows, at=at, features=chosen, train=train, root=root, notes=notes)
    computed = training_table(
        definitions,
        rows,
        at=at,
        features=chosen,
        labels=[label],
        fitted=fitted,
        train=train if with_state else None,
        root=root,
        notes=notes,
    )
    values = {full: computed[public] for full, public in public_names(chosen).items()}
    return SelectionTable.from_frame(values, computed[label], train)


def _moved(definitions: Definitions, root: Path, folder: Path) -> Definitions:
    """Definitions in another folder: relative paths of sources lead to the same files."""
    if root.resolve() == folder.resolve():
        return definitions
    sources = {
        name: source
        if source.path is None or Path(source.path).expanduser().is_absolute()
        else msgspec.structs.replace(source, path=os.path.relpath(root / source.path, folder))
        for name, source in definitions.sources.items()
    }
    return msgspec.structs.replace(definitions, sources=sources)


def _show(
    scored: list[Scored], read: list[str], counts: dict[str, int], explained: float | None, *, by_method: str
) -> None:
    table = Table(box=None, pad_edge=False)
    heading = "worse by" if by_method == "importance" else "information"
    for name in ("feature", heading, "kept", "because"):
        table.add_column(name, justify="right" if name == heading else "left")
    for one in scored:
        reason = "a kept one reads it" if one.name in read else one.reason
        table.add_row(one.name, f"{one.score:.4f}", "yes" if one.kept or one.name in read else "", reason)
    show(table)
    rows = f"{counts['training']:,} training rows, {counts['validation']:,} later validation rows"
    if explained is None:
        print(f"mutual information with the label in nats, of {counts['training']:,} training rows")  # noqa: T201
    else:
        print(f"{rows}; the model explains {explained:.1%} of the label's variance in the latter")  # noqa: T201
