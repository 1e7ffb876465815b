"""Report files: `report.html` and `report.json` in a folder, both or neither."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from lightning_app.atomic_write import replacing
from lightning_app.errors import UsageError
from lightning_app.monitoring.page.report_page import write_html
from lightning_app.monitoring.report.structs import SCHEMA_VERSION, MonitorReport

PAGE, DATA = "report.html", "report.json"


class ReportFile(msgspec.Struct, frozen=True, kw_only=True):
    """Content of `report.json`.

    Attributes:
        reports: A report of each model.
        problems: Why a model has none, by its name.
        schema_version: Version of this format.
    """

    reports: tuple[MonitorReport, ...]
    problems: dict[str, str] = {}
    schema_version: int = SCHEMA_VERSION


def write_report(
    folder: Path, reports: tuple[MonitorReport, ...], *, problems: Mapping[str, str], title: str
) -> tuple[Path, Path]:
    """Writes both files; earlier ones are replaced once both are complete.

    Args:
        folder: Made if it does not exist.
        reports: A report of each model.
        problems: Why a model has none.
        title: Title of the page.

    Returns:
        page: The HTML file.
        data: The JSON file.

    Raises:
        UsageError: The folder cannot be written.
        OSError: The disk is full; neither file has changed.
    """
    page = write_html(*reports, title=title, problems=problems).encode()
    data = msgspec.json.format(msgspec.json.encode(ReportFile(reports=reports, problems=dict(problems))), indent=1)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            replacing(folder / PAGE, size=len(page)) as page_partial,
            replacing(folder / DATA, size=len(data)) as data_partial,
        ):
            page_partial.write_bytes(page)
            data_partial.write_bytes(data)
    except (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError) as error:
        raise UsageError(f"output: {folder} cannot be written: {error.strerror}; give another folder") from error
    except BaseException:
        if is_new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        raise
    return folder / PAGE, folder / DATA


def read_report(path: Path) -> ReportFile:
    """Reads `report.json`.

    Args:
        path: The file.

    Raises:
        UsageError: It is missing, no report, or of a later version of this program.
    """
    try:
        content = path.read_bytes()
        version = msgspec.json.decode(content, type=_Version).schema_version
        if version > SCHEMA_VERSION:
            raise UsageError(
                f"report: {path} has the schema version {version}; this program reads up to {SCHEMA_VERSION}: upgrade"
            )
        return msgspec.json.decode(content, type=ReportFile)
    except OSError as error:
        raise UsageError(f"report: {path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"report: {path} is no report: {error}") from error


class _Version(msgspec.Struct):
    schema_version: int
