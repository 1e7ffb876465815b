"""Tables of rows to compute features for, read with the types that the definitions declare."""

from pathlib import Path

import polars as pl

from features.definitions import Definitions
from features.sources import Notes
from features.table_reader import read_table
from lightning_app.errors import UsageError
from lightning_app.terminal import plain_console


def read_rows(file: Path, definitions: Definitions) -> pl.DataFrame:
    """Reads a table of rows; keys and texts stay text until they are read as declared.

    Args:
        file: CSV or parquet file.
        definitions: The definitions.

    Raises:
        UsageError: The file does not exist.
        ValueError: It is no table.
    """
    if not file.is_file():
        raise UsageError(f"rows: {file} does not exist")
    texts = {key for entity in definitions.entities.values() for key in entity.keys}
    for view in definitions.views.values():
        texts |= {name for name, column in view.request.items() if column.type == "str"}
    return read_table(file, texts=sorted(texts))


def write_table(table: pl.DataFrame, output: Path) -> None:
    """Writes a table.

    Args:
        table: The table.
        output: File that ends in .parquet or .csv.

    Raises:
        UsageError: It ends otherwise.
    """
    from lightning_app.atomic_write import replacing

    with replacing(output) as partial:
        if output.suffix == ".parquet":
            table.write_parquet(partial)
        else:
            table.with_columns(pl.col(pl.List, pl.Array).cast(pl.List(pl.String)).list.join(" ")).write_csv(partial)


def check_output(output: Path) -> None:
    """Refuses an output of an unknown kind before anything is computed.

    Args:
        output: The file.

    Raises:
        UsageError: It ends neither in .parquet nor in .csv, or its folder does not exist.
    """
    if output.suffix not in (".parquet", ".csv"):
        raise UsageError(f"output: {str(output)!r} given, a file that ends in .parquet or .csv is needed")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"output: folder {output.parent} does not exist")


def print_notes(notes: Notes) -> None:
    """Prints what was left out or put in order, on stderr.

    Args:
        notes: The notes.
    """
    for line in notes.lines():
        plain_console(stderr=True).print(f"note: {line}")
