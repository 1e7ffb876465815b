"""Contract of a package: the data contract of its training table, kept by the raw rows that it is asked about.

Golden requests and the comparison with the checkpoint are not checked: the age of their rows grows.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.manifest import Manifest
from lightning_app.packaging.runtime.frames import as_frame
from lightning_app.packaging.runtime.requests.raw_request import is_raw

if TYPE_CHECKING:
    import polars as pl

    from features.contracts import Contract

CONTRACT = "contract.json"


def contract_file(contract: "Contract", *, needed: "tuple[str, ...] | None") -> bytes:
    """Content of the file in a package.

    Args:
        contract: Contract of the training table.
        needed: Columns that raw rows need; others, such as a label, may be absent. None for all of the contract.
    """
    return (contract if needed is None else contract.requiring(needed)).to_json()


def load_contract(content: bytes) -> "Contract":
    """Reads the contract of a package.

    Args:
        content: Content of its file.

    Raises:
        PackageError: It is invalid.
    """
    from features.contracts import Contract
    from lightning_app.packaging.format.strict_json import read_json

    try:
        return Contract.from_data(read_json(content, name=CONTRACT), name=CONTRACT)
    except ValueError as error:
        raise PackageError(f"package: {error}") from error


def raw_table(request: Any, manifest: Manifest) -> "pl.DataFrame | None":
    """The raw rows of a request as a table; None if it holds inputs of the ONNX graph, or is no table.

    Args:
        request: Request of `Package.predict`.
        manifest: Manifest of the package.
    """
    frame = as_frame(request)
    if frame is None and isinstance(request, Mapping):
        if not is_raw(request, manifest):
            return None
        import polars as pl

        try:
            return pl.DataFrame(dict(request))
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
            return None  # the predictor says what is wrong with it
    return frame if frame is not None and is_raw(frame.columns, manifest) else None


def bad_rows(contract: "Contract", table: "pl.DataFrame | pl.LazyFrame") -> tuple[dict[int, str], list[str], int]:
    """Checks raw rows.

    Args:
        contract: The contract.
        table: The rows; a lazy one is read as a stream.

    Returns:
        rejected: Number of each row that breaks a rule on rows, of severity `error` or `quarantine`, to the reason.
        notes: Broken rules of severity `warn`, in words.
        num_rows: Number of rows of the table.

    Raises:
        RequestError: The table breaks a rule that concerns it as a whole.
    """
    lenient = msgspec.structs.replace(contract, max_quarantined=1.0)  # the caller bounds what it rejects
    verdict, rows = lenient.bad_rows(table, severities=("error", "quarantine"))
    rejected = dict(zip(rows["row"].to_list(), map("; ".join, rows["reasons"].to_list()), strict=True))
    whole = [one for one in verdict.broken("error") if one.row is None]
    if whole:
        raise RequestError(f"request: the table breaks {verdict.contract}: {whole[0].describe()}")
    notes = [f"contract {verdict.contract}: {one.describe()}" for one in verdict.broken("warn")]
    return rejected, notes, verdict.num_rows
