"""Text tables: files of rows and events whose cells stay text, in any format that a source may have."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from datamodules.sources import data_root
from datamodules.tabular.bundled_tables import bundled_table, is_bundled
from features.definitions import CsvFormat, Definitions
from features.delta_table import is_delta
from features.sources.files import scan_file
from features.versions.references import is_reference


@dataclass(frozen=True, kw_only=True)
class TextFormat:
    """How a text file is written, where it is not a plain CSV file; as `csv` of a source.

    Attributes:
        separator: A character, or `whitespace` for any run of blanks; `,` of a file that ends in .tsv is a tab.
        columns: Names of all columns, for a file without a header; with `skip_rows: 1` instead of the header it has. A
            first line of some of these very names is a header.
        skip_rows: Lines to skip at the start.
        null_values: Words that mean a missing value, beside the empty one.
        comment: Start of lines that are left out; "" for none.
        trim: Blanks around cells and column names are removed, and blank lines left out.
        quote: Character around cells that contain separators or line ends; "" where quotes are part of the text.
    """

    separator: str = ","
    columns: tuple[str, ...] = ()
    skip_rows: int = 0
    null_values: tuple[str, ...] = ()
    comment: str = ""
    trim: bool = False
    quote: str = '"'

    def definition(self) -> CsvFormat:
        """The same as a part of definitions."""
        return CsvFormat(
            separator=self.separator,
            columns=tuple(self.columns),
            skip_rows=self.skip_rows,
            null_values=tuple(self.null_values),
            comment=self.comment,
            trim=self.trim,
            quote=self.quote,
        )


def locate(path: str | Path, *, root: str | Path | None, key: str, folder: Path | None = None) -> Path:
    """Finds a file, folder or Delta table: at its path, beside the features file, or below the data root.

    Args:
        path: The path; a `snapshot:` is returned as it is.
        root: The data root, see `data_root`.
        key: Config key, for messages.
        folder: Folder of the features file.

    Raises:
        FileNotFoundError: There is none.
    """
    if is_reference(path):
        return Path(path)
    plain = Path(path).expanduser()
    candidates = [plain, *([folder / plain] if folder is not None else []), data_root(root) / plain]
    for candidate in candidates:
        if candidate.exists() or is_delta(candidate):
            return candidate
    looked = " and ".join(dict.fromkeys(map(str, candidates)))
    raise FileNotFoundError(f"{key}: {str(path)!r} does not exist; looked for {looked}")


def shipped_config(name: str | Path) -> Path | None:
    """A file below the configs that come with the project, in the installed package or a checkout.

    Args:
        name: Path below the folder of configs, e.g. `tabular/features/bike_sharing.yaml`.
    """
    spec = find_spec("lightning_app")  # locates the package without importing it
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    places = (package / "configs" / name, package.parent / "configs" / name)
    return next((place for place in places if place.is_file()), None)


def definitions_file(definitions: str | Path, *, root: str | Path | None) -> Path:
    """The features file that `data.definitions` names: one of the user's, else one that comes with the project.

    Args:
        definitions: As it is given.
        root: The data root, see `data_root`.

    Raises:
        FileNotFoundError: There is none.
    """
    shipped = shipped_config(definitions)
    if shipped is None or Path(definitions).exists():
        return locate(definitions, root=root, key="data.definitions")
    return shipped


def read_text_table(path: str | Path, *, csv: CsvFormat | None, root: str | Path | None, key: str) -> pl.DataFrame:
    """Reads a table; the cells of a text file stay text.

    Args:
        path: CSV, TSV, JSON lines or parquet file, Delta table, snapshot, or a table that scikit-learn brings,
            `sklearn:wine`.
        csv: How a text file is written; None for a plain CSV file.
        root: The data root, see `data_root`.
        key: Config key, for messages.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read.
    """
    if is_bundled(path):
        return bundled_table(path, key=key)
    file = locate(path, root=root, key=key)
    try:
        return scan_file(str(file), csv=csv, root=None, place=key).collect()
    except ValueError as error:
        raise error if key in str(error) else ValueError(f"{key}: {error}") from error
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{key}: {file} is no readable table: {str(error).strip().splitlines()[0]}") from error


def read_source_table(definitions: Definitions, name: str, *, path: Path, root: str | Path | None) -> pl.DataFrame:
    """Reads the table of a source; the cells of text files stay text.

    Args:
        definitions: The definitions.
        name: Name of the source.
        path: The features file; paths of sources may start from its folder.
        root: The data root, see `data_root`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The source has no path, or its table cannot be read.
    """
    source = definitions.sources[name]
    key = f"{path.name}: sources.{name}.path"
    if source.path is None:
        raise ValueError(f"{key}: none given, and the rows are no history of their own (data.history)")
    if any(sign in source.path for sign in "*?["):
        return scan_file(source.path, csv=source.csv, root=path.parent, place=key).collect()
    file = locate(source.path, root=root, key=key, folder=path.parent)
    return read_text_table(file, csv=source.csv, root=root, key=key)
