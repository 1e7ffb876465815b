"""Drift files of a package: what it says of its held-out rows, read when monitoring asks for it."""

from typing import TYPE_CHECKING

from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.folder import read_listed
from lightning_app.packaging.format.parquet_table import MAX_SAMPLE_VALUES, read_table

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from lightning_app.drift.reference import Reference
    from lightning_app.packaging.format.manifest import Manifest

NO_REFERENCE = (
    "no drift reference in the package: export it again, or build one with "
    "`lightning-app monitor reference PACKAGE TABLE`"
)


def read_drift_reference(path: "Path", manifest: "Manifest") -> "Reference | None":
    """The drift reference of a package.

    Args:
        path: Folder of the package.
        manifest: Its manifest.

    Returns:
        None of packages that were written without one.

    Raises:
        PackageError: The file is missing, was changed, or is no reference.
    """
    from lightning_app.drift.reference import REFERENCE_FILE, Reference

    content = read_listed(path, manifest, REFERENCE_FILE)
    if content is None:
        return None
    try:
        return Reference.from_bytes(content)
    except ValueError as error:
        raise PackageError(str(error)) from error


def read_drift_sample(path: "Path", manifest: "Manifest") -> "pl.DataFrame | None":
    """Some of the rows that the drift reference was made of.

    Args:
        path: Folder of the package.
        manifest: Its manifest.

    Returns:
        None of packages that were written without them.

    Raises:
        PackageError: The file is missing, was changed, or is no table of bounded size.
    """
    from lightning_app.drift.reference import SAMPLE_FILE

    content = read_listed(path, manifest, SAMPLE_FILE)
    if content is None:
        return None
    return read_table(content, name=SAMPLE_FILE, nested=True, most=MAX_SAMPLE_VALUES)
