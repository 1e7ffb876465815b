"""Features command: `lightning-app features get` looks up features of entities in an online store."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.table import Table

from features.batch.training_table import public_names
from features.definitions import Definitions, FittedFeature, HistoryFeature
from features.definitions.checks import feature_read
from features.definitions.columns_read import TIME, columns_read
from features.definitions.value_type import unit
from features.fitted import Fitted
from features.rows import required_features
from features.store import online_table
from lightning_app.errors import UsageError
from lightning_app.features_commands.rows_table import check_output, read_rows, write_table
from lightning_app.features_commands.store_options import add_store_options, chosen_store, definitions_file, parse_time
from lightning_app.terminal import plain_console, print_json, show
from lightning_app.verb_parser import VerbParser

_PAIRS = re.compile(r",(?=\w+=)")


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: No entity is given, or one twice.
    """
    parser = VerbParser(args[0], description=__doc__, epilog="Features that read a column not given are left out.")
    parser.add_argument("file", metavar="FEATURES.yaml", help="definitions of features")
    help_text = "an entity; KEY=VALUE,KEY=VALUE if it has several keys"
    parser.add_argument("--entity", action="append", default=[], metavar="KEY=VALUE", help=help_text)
    parser.add_argument("--rows", type=Path, default=None, metavar="TABLE", help="many entities: CSV or parquet")
    parser.add_argument("--request", action="append", default=[], metavar="COLUMN=VALUE", help="what the caller gives")
    parser.add_argument("--at", default=None, help="time of the answer, or column of --rows; default: now")
    parser.add_argument("--features", nargs="+", default=None, metavar="NAME", help="features or views; default: all")
    parser.add_argument("--fitted", type=Path, default=None, help="state of fitted features, as JSON")
    parser.add_argument("--output", type=Path, default=None, help="table to write: ends in .parquet or .csv")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_store_options(parser)
    arguments = parser.parse_args(args[1:])
    if arguments.output is not None:
        check_output(arguments.output)
    definitions, _ = definitions_file(arguments)
    rows = _rows(arguments.entity, arguments.rows, arguments.request, definitions)
    at = arguments.at
    if at is not None and at not in rows.columns:
        at = parse_time(at, option="at")
    fitted = None if arguments.fitted is None else Fitted.load(arguments.fitted)
    features, left_out = _answerable(
        definitions, arguments.features, rows.columns, fitted=fitted, is_table=arguments.rows is not None
    )
    if not features:
        raise UsageError(f"features get: nothing can be answered: {'; '.join(left_out)}")
    for line in left_out:
        plain_console(stderr=True).print(f"left out: {line}")
    table = online_table(
        definitions,
        chosen_store(arguments),
        rows,
        at=at,
        features=features,
        fitted=fitted,
        reasons=True,
        namespace=arguments.namespace,
    )
    if arguments.output is not None:
        write_table(table, arguments.output)
        print(f"table: {arguments.output} ({table.height:,} rows)")  # noqa: T201
    elif arguments.json:
        print_json(table.to_dicts())
    else:
        for row in table.to_dicts():
            _show(row, features, rows.columns, definitions)


def _rows(entities: Sequence[str], file: Path | None, request: Sequence[str], definitions: Definitions) -> pl.DataFrame:
    if bool(entities) == (file is not None):
        raise UsageError("features get: give entities as --entity KEY=VALUE, or a table as --rows")
    given = [_pairs(text, "entity") for text in entities]
    keys = {key for entity in definitions.entities.values() for key in entity.keys}
    for pairs in given:
        if unknown := sorted(pairs.keys() - keys):
            raise UsageError(f"entity: {unknown[0]!r} is no key of an entity; keys are {', '.join(sorted(keys))}")
    rows = pl.DataFrame(given) if file is None else read_rows(file, definitions)
    asked = [_pairs(text, "request") for text in request]
    columns: dict[str, str] = {}
    for name, value in (pair for pairs in asked for pair in pairs.items()):
        if name in columns or name in rows.columns:
            other = f"{columns[name]!r}" if name in columns else f"a column of {file}" if file else "a key of --entity"
            raise UsageError(f"request: {name!r} is given twice, as {value!r} and as {other}; give it once")
        columns[name] = value
    known = {name for view in definitions.views.values() for name in view.request}
    if unknown := sorted(columns.keys() - known):
        raise UsageError(f"request: {unknown[0]!r} is requested by no view; these are: {', '.join(sorted(known))}")
    return rows.with_columns(pl.lit(value).alias(name) for name, value in columns.items())


def _pairs(text: str, option: str) -> dict[str, str]:
    parts = [part.partition("=")[::2] for part in _PAIRS.split(text)]
    pairs = dict(parts)
    if "=" not in text or "" in pairs:
        raise UsageError(f"{option}: {text!r} given, NAME=VALUE is needed")
    if len(pairs) < len(parts):
        raise UsageError(f"{option}: {text!r} gives a name twice; give each once")
    return pairs


def _answerable(
    definitions: Definitions,
    names: Sequence[str] | None,
    columns: Sequence[str],
    *,
    fitted: Fitted | None,
    is_table: bool,
) -> tuple[list[str], list[str]]:
    """Features that can be answered from what is given, and lines about the others; a named one is never left out.

    A table without a key column is refused later: its name may be misspelt.
    """
    if names is not None:
        return list(definitions.select(names)), []
    answerable, left_out = [], []
    for full in definitions.select():
        lacks: set[str] = set()
        for needed in required_features(definitions, [full]):
            view, _, _ = needed.partition(".")
            feature = definitions.feature(needed)
            if isinstance(feature, HistoryFeature):
                lacks |= {f"view {view!r}, which is not online"} if not definitions.views[view].online else set()
                entity = definitions.views[view].entity
                keys = definitions.entities[entity].keys if entity and not is_table else {}
                lacks |= {f"--entity {key}=VALUE" for key in keys if key not in columns}
                continue
            if isinstance(feature, FittedFeature) and fitted is None:
                lacks.add("--fitted")
            for column in columns_read(feature):
                if feature_read(column, view, definitions.views) is None and column not in (*columns, TIME):
                    lacks.add(f"--request {column}=VALUE")
        if lacks:
            left_out.append(f"{full} (needs {', '.join(sorted(lacks))})")
        else:
            answerable.append(full)
    return answerable, left_out


def _show(row: dict[str, Any], features: Sequence[str], given: Sequence[str], definitions: Definitions) -> None:
    print(", ".join(f"{name}={row[name]}" for name in given))  # noqa: T201
    table = Table(box=None, pad_edge=False)
    for heading in ("feature", "value", "unit", "missing because"):
        table.add_column(heading)
    for full, name in public_names(features).items():
        reason = row.get(f"{name}__reason", "present")
        value = "" if row[name] is None else f"{row[name]:.6g}" if isinstance(row[name], float) else str(row[name])
        table.add_row(full, value, unit(definitions, full), "" if reason == "present" else reason)
    show(table)
