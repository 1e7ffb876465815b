"""Mark of a job in the footer of a parquet file: which job wrote the file, and how far it was then."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

_KEY = "lightning_app.score"


@dataclass(frozen=True)
class JobMark:
    """What a file says about the job that wrote it.

    Attributes:
        job: sha256 of what makes the job another one: model, data, columns.
        started: When the job was started, ISO 8601 in UTC.
        num_rows: Rows of the table that are done with this file.
        num_rejected: Of these, rows that were rejected.
    """

    job: str
    started: str
    num_rows: int
    num_rejected: int

    def write(self, writer: pa.parquet.ParquetWriter) -> None:
        """Puts the mark into a file that is being written.

        Args:
            writer: Of the file.
        """
        writer.add_key_value_metadata({_KEY: json.dumps(asdict(self))})


def read_mark(path: Path) -> JobMark | None:
    """The mark of a file, None if it is not there or no job wrote it.

    Args:
        path: Any file.
    """
    try:
        found = (pa.parquet.read_metadata(path).metadata or {}).get(_KEY.encode())
        return None if found is None else JobMark(**json.loads(found))
    except (OSError, ValueError, TypeError):  # no parquet file, or the mark of another version
        return None
