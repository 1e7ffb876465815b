"""Journal watch: copies the health of the journal to the metrics, once a second."""

import asyncio
import logging

import msgspec

from lightning_app.errors import nearest
from lightning_app.packaging.runtime.row_ids import PASSED
from lightning_app.serving.config.experiment_config import Linear
from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.journal.health import JournalHealth

_SECONDS = 1.0
_log = logging.getLogger("lightning_app.serving")


async def watch_journal(state: ServingState) -> None:
    """Runs until it is cancelled, and counts once more then; ends at once without a journal.

    Args:
        state: State of the worker.
    """
    if state.journal is None:
        return
    for line in unknown_columns(state):
        _log.warning("%s", line)
    metrics = state.metrics.journal
    last = JournalHealth(state="up")
    await state.journal.count_pending()
    is_last = False
    while True:
        health = state.journal.health()
        if health.state != last.state:
            if health.state == "down":
                _log.error("the journal is down: %s", health.last_error)
            elif health.last_error is not None:
                _log.warning("the journal is back; it was down: %s", health.last_error)
        if health.damaged > last.damaged:
            _log.error("spill files hold damaged records, and are kept as .damaged; %d so far", health.damaged)
        metrics.up.set(float(health.state == "up"))
        metrics.pending.set(health.pending)
        metrics.written.add(health.written - last.written)
        metrics.spilled.add(health.spilled - last.spilled)
        metrics.shadows.add(health.shadows - last.shadows)
        metrics.lost_shadows.add(health.lost_shadows - last.lost_shadows)
        if is_last:
            return
        last = msgspec.structs.replace(health)
        try:
            await asyncio.sleep(_SECONDS)
            await state.journal.count_pending()
        except asyncio.CancelledError:
            is_last = True  # what was answered since then is counted too


def unknown_columns(state: ServingState) -> list[str]:
    """A line for each column that is configured and that no model reads: it may be a typing error.

    Those are columns that are to be dropped or hashed, and those of a linear bandit.

    Args:
        state: State of the worker.
    """
    known: set[str] = {*PASSED}
    for model in state.models.values():
        known |= {*model.arm.model.column_names, *(() if model.config.entity is None else (model.config.entity,))}
        known |= {output.name for output in model.arm.model.package.manifest.outputs}
    return [
        f"journal.{key}: {name!r} is no column that a served model reads{nearest(name, sorted(known))}"
        for key in ("drop", "hash")
        for name in getattr(state.config.journal, key)
        if name not in known
    ] + [
        f"experiment.policy.columns: {name!r} is no column that {model.name} reads{nearest(name, sorted(known))}; "
        "where a request lacks it, its mean is taken"
        for model in state.models.values()
        if model.config.experiment is not None and isinstance(model.config.experiment.policy, Linear)
        for name in model.config.experiment.policy.columns
        if name not in known
    ]
