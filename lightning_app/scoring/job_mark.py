"""Job mark: metadata in the footer of a parquet file that says which job wrote it, and how many rows were done."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

_KEY = "lightning_app.score"


@dataclass(frozen=True)
class JobMark:
    """Metadata about the job that wrote a file.

    Attributes:
        job: sha256 of what identifies the job: model, data, columns.
        started: Start of the job, ISO 8601 in UTC.
        num_rows: Rows of the table that were done when the file was written.
        num_rejected: Rejected rows among them.
    """

    job: str
    started: str
    num_rows: int
    num_rejected: int

    def write(self, writer: pa.parquet.ParquetWriter) -> None:
        """Adds the mark to a file that is being written.

        Args:
            writer: Writer of the file.
        """
        writer.add_key_value_metadata({_KEY: json.dumps(asdict(self))})


def read_mark(path: Path) -> JobMark | None:
    """Reads the mark of a file; None if the file does not exist or was not written by a job.

    Args:
        path: Any file.
    """
    try:
        content = (pa.parquet.read_metadata(path).metadata or {}).get(_KEY.encode())
        return None if content is None else JobMark(**json.loads(content))
    except (OSError, ValueError, TypeError):  # no parquet file, or a mark of another version
        return None
