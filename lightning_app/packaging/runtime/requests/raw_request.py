"""Raw requests: whether a request holds raw rows, and whether it has all that its package needs."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.raw_input import RawInput

_SHOWN = 20


def is_raw(names: Collection[str], manifest: Manifest) -> bool:
    """Whether a request holds raw rows, not inputs of the ONNX graph.

    Args:
        names: Columns or keys of the request.
        manifest: Manifest of the package.
    """
    if manifest.raw_input is None:
        return False
    given = {spec.name for spec in manifest.inputs} & set(names)
    columns = manifest.raw_input.columns
    if not given <= {column.name for column in columns}:
        return False
    return not given or all(column.name in names for column in columns if column.required)


def check_raw_columns(names: Sequence[str], manifest: Manifest, *, table: str | None = None) -> None:
    """Raises unless a table has all columns that the package needs.

    Args:
        names: Columns of the table.
        manifest: Manifest with `raw_input`.
        table: Name of the table, where a request has several.

    Raises:
        RequestError: A column is missing; names it and the nearest one of the table.
    """
    assert manifest.raw_input is not None
    for column in manifest.raw_input.columns:
        if column.table == table and column.required and column.name not in names:
            folded = {name.casefold(): name for name in names}
            near = get_close_matches(column.name.casefold(), folded, n=1)
            hint = f"; {folded[near[0]]!r} is near" if near else ""
            shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
            which = "the table" if table is None else f"the table {table!r}"
            raise RequestError(f"{column.name}: no such column ({column.role}), {which} has {shown}{hint}")


def check_tables(names: Collection[str], manifest: Manifest, raw_input: RawInput) -> None:
    """Raises unless a request has the tables that the package needs, and no others.

    Args:
        names: Names of the tables.
        manifest: Manifest of the package.
        raw_input: Its preparation.

    Raises:
        RequestError: A table is missing, or unknown.
    """
    if set(names) != set(raw_input.request_tables):
        given = ", ".join(names) or "none"
        needed = ", ".join(raw_input.request_tables) or "a single table without a name"
        raise RequestError(f"request: tables {given} given, {needed} needed by {manifest.name}")
