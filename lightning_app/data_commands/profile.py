"""Profile command: `lightning-app data profile` describes a table, and drafts a contract that it keeps."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from features.contracts import Contract
from features.contracts.files.table_file import scan_table, unreadable
from features.contracts.profile import ColumnProfile, TableProfile, draft_contract, profile_table
from features.versions.references import referenced_file
from lightning_app.atomic_write import write_whole
from lightning_app.errors import UsageError
from lightning_app.terminal import plain, print_json
from lightning_app.verb_parser import VerbParser

_WIDTH = 80
_NAME = 20
_FEW_NUMBERS = 12
_DETAILS = _WIDTH - _NAME - 30


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser(
        "data profile", description=__doc__, epilog="Edit the contract: it says what was, not what must be."
    )
    parser.add_argument("table", help="parquet, CSV or Arrow file")
    parser.add_argument("--output", default=None, metavar="FILE", help="file of the contract (.yaml)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of the contract")
    parser.add_argument("--json", action="store_true", help="print the profile as JSON")
    arguments = parser.parse_args(args[1:])
    output = None if arguments.output is None else Path(arguments.output)
    if output is not None and output.suffix not in (".yaml", ".yml"):
        raise UsageError(f"output: {output} given, a name that ends in .yaml is needed")
    if output is not None and output.exists() and not arguments.overwrite:
        raise UsageError(f"output: {output} exists; name another file, or give --overwrite")
    file = referenced_file(arguments.table)
    table = scan_table(file)
    is_text = file.name.endswith((".csv", ".csv.gz"))
    try:
        profile = profile_table(table, parse_text=is_text)
        if output is not None:
            _write(profile, table, name=arguments.table, output=output)
    except pl.exceptions.PolarsError as error:
        raise unreadable(arguments.table, error) from error
    if arguments.json:
        print_json(msgspec.to_builtins(profile, enc_hook=str))
        return
    for line in profile_lines(profile, name=arguments.table):
        print(plain(line))  # noqa: T201
    if output is not None:
        print(plain(f"contract: {output}"))  # noqa: T201


def profile_lines(profile: TableProfile, *, name: str) -> list[str]:
    """The profile as lines of at most 80 characters, but for longer names of columns.

    Args:
        profile: The profile.
        name: Name of the table.
    """
    lines = [
        f"{name}: {profile.num_rows:,} rows, {len(profile.columns)} columns",
        f"{'column':<{_NAME}}{'type':<9}{'missing':>8}{'distinct':>11}  values",
    ]
    for column, one in profile.columns.items():
        share = one.missing / profile.num_rows if profile.num_rows else 0.0
        missing = f"{share:.1%}" if 0.001 <= share < 1 else f"{share:.0%}" if share in (0, 1) else "<0.1%"
        cells = f"{one.declared.type:<9}{missing:>8}{one.distinct:>11,}  {_values(one)}".rstrip()
        lines += [f"{column:<{_NAME}}{cells}"] if len(column) < _NAME else [column, " " * _NAME + cells]
    if profile.time is not None:
        lines.append(_time_line(profile))
    return lines


def _write(profile: TableProfile, table: pl.LazyFrame, *, name: str, output: Path) -> None:
    text = draft_contract(profile, name=output.stem, table=Path(name).name)
    write_whole(output, text)
    broken = Contract.load(output).check(table).broken()
    if broken:  # the table changed while it was read
        raise RuntimeError(f"{name} breaks the contract drafted from it: {broken[0].describe()}; written to {output}")


def _values(column: ColumnProfile) -> str:
    kind = column.declared.type
    few = column.values and (kind in ("str", "bool") or (kind == "int" and len(column.values) <= _FEW_NUMBERS))
    if few:
        total = sum(count for _, count in column.values)
        parts = [f"{_short(value)} {count / total:.0%}" for value, count in column.values]
        while len(parts) > 1 and len(", ".join(parts)) > _DETAILS - 5:
            parts.pop()
        text = ", ".join(parts) + (", ..." if len(parts) < len(column.values) else "")
    elif column.min is not None:
        text = f"{_short(column.min)} .. {_short(column.median)} .. {_short(column.max)}"
        if len(text) > _DETAILS or kind == "datetime":
            text = f"{_short(column.min)} .. {_short(column.max)}"
        if len(text) > _DETAILS and isinstance(column.min, datetime):
            one_day = column.min.date() == column.max.date()
            text = f"{column.min:%Y-%m-%d %H:%M} .. " if one_day else f"{column.min:%Y-%m-%d} .. "
            text += f"{column.max:%H:%M}" if one_day else f"{column.max:%Y-%m-%d}"
    else:
        text = f"form {column.shape}" if column.shape else ""
    return text if len(text) <= _DETAILS else f"{text[: _DETAILS - 3]}..."


def _time_line(profile: TableProfile) -> str:
    time = profile.time
    assert time is not None
    order = "in order" if time.ordered else f"in order within {time.by}" if time.by else "not in order"
    step = "" if time.step is None else f", a step of {time.step:g} s in {time.step_share:.1%}"
    return f"time: {time.column} {order}{step}"


def _short(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(" ", "minutes").replace(" 00:00", "")
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
