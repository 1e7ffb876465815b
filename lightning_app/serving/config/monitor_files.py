"""Monitor files: what the monitoring process leaves in the runtime folder of a server, for the pages of its workers."""

from typing import Literal

from msgspec import Struct

FOLDER = "monitoring"
PAGE = "report.html"
REPORTS = "reports.json"
SUMMARY = "summary.json"
METRICS = "metrics.txt"


class ModelSummary(Struct, frozen=True, kw_only=True):
    """The verdict on a model.

    Attributes:
        model: Its name.
        status: How urgent it is.
        words: The same in two words.
        text: What is wrong, since when and why; one sentence.
        made: When the report was made, Unix seconds.
    """

    model: str
    status: Literal["bad", "watch", "good", "unknown"]
    words: str
    text: str
    made: float


class Summary(Struct, frozen=True, kw_only=True):
    """What the status page says of monitoring.

    Attributes:
        models: Verdicts by model.
        problems: Why there are no newer reports.
    """

    models: tuple[ModelSummary, ...] = ()
    problems: dict[str, str] = {}
