"""Notes of quality: what a reader of the numbers has to know, in words."""

from features.definitions.duration import seconds
from lightning_app.monitoring.config.monitor_config import QualitySettings
from lightning_app.monitoring.quality.delays import DelayModel
from lightning_app.monitoring.quality.estimated import EstimateError
from lightning_app.monitoring.quality.labelled_rows import LabelledRows
from lightning_app.monitoring.quality.model_facts import ModelFacts

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "m"), (1.0, "s"))


def row_notes(rows: LabelledRows, settings: QualitySettings, facts: ModelFacts) -> list[str]:
    """What is wrong with rows, and what cannot be said of them.

    Args:
        rows: The rows.
        settings: How quality is judged.
        facts: What is known of the version.
    """
    notes = [f"{count:,} rows {reason}" for reason, count in rows.anomalies.items()]
    late = int((rows.delays.delays > seconds(settings.outcome_within)).sum())
    if late:
        notes.append(f"{late:,} rows with an outcome that came later than {settings.outcome_within}: not used")
    if facts.form is None:
        notes.append("outcomes cannot be compared with the answers of this task; rewards can be given")
    elif facts.held_out is None:
        notes.append("nothing is expected before outcomes come: the package has no held-out rows with outcomes")
    return notes


def delay_notes(delays: DelayModel, settings: QualitySettings) -> list[str]:
    """How long outcomes take.

    Args:
        delays: The delays.
        settings: How quality is judged.
    """
    if delays.ever is None or delays.half is None:
        return []
    notes = [
        f"outcomes: {delays.ever:.0%} of the rows get one within {settings.outcome_within}, half of those within "
        f"{length(delays.half)}"
    ]
    if delays.curves is None:
        notes.append(
            f"outcomes: too few rows are older than {settings.outcome_within} to know how long outcomes take, so that "
            "younger rows are not judged"
        )
    elif delays.least_age > 0:
        notes.append(f"outcomes: rows are judged from an age of {length(delays.least_age)}, weighted by their delays")
    return notes


def trust_note(far: EstimateError) -> list[str]:
    """A warning if an estimate is farther from the measured metric than chance allows.

    Args:
        far: Both compared.
    """
    if abs(far.error) <= far.radius:
        return []
    return [
        f"estimates are not to be trusted: {far.metric} was estimated {far.error:+.4g} from what was measured, chance "
        f"allows {far.radius:.2g}: outcomes depend on the inputs otherwise than on the held-out rows"
    ]


def length(duration: float) -> str:
    """A duration in its largest unit, e.g. `2.1d`.

    Args:
        duration: Seconds.
    """
    for size, unit in _UNITS:
        if duration >= size:
            return f"{duration / size:.1f}".removesuffix(".0") + unit
    return f"{duration:.2g}s"
