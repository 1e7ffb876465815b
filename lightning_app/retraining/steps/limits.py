"""Limits: why no cycle may begin now, and until when."""

from collections.abc import Sequence

from features.definitions.duration import seconds
from lightning_app.retraining.cycles import Cycle, CycleEvent
from lightning_app.retraining.steps.budget import WEEK, device_minutes_left
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.outcome import Wait
from lightning_app.retraining.steps.quarantine import quarantine_of
from lightning_app.retraining.triggers.gather import count_labels
from lightning_app.time_text import utc


def limit(context: Context, *, by_hand: bool) -> Wait | None:
    """What a new cycle has to wait for; None if it may begin.

    Args:
        context: Of the tick.
        by_hand: Whether a person begins it: no cool-down, no back-off, no limit of cycles.
    """
    cycles, events = context.store.cycles(context.policy.model), context.store.events(context.policy.model)
    waits = [_halted(context, cycles, events), _minutes(context)]
    if not by_hand:
        waits += [_rest(context, cycles, events), _per_week(context, cycles), _fresh_labels(context)]
    return next((wait for wait in waits if wait is not None), None)


def _halted(context: Context, cycles: Sequence[Cycle], events: Sequence[CycleEvent]) -> Wait | None:
    resumed = max((event.time for event in events if event.kind == "resume"), default=float("-inf"))
    failed = 0
    for cycle in reversed(cycles):
        if cycle.state != "failed" or (cycle.ended or 0.0) <= resumed:
            break
        failed += 1
    if failed < context.policy.limits.halt_after:
        return None
    return Wait(words=f"halted after {failed} failed cycles in a row: lightning-app retrain trigger --resume")


def _minutes(context: Context) -> Wait | None:
    left = device_minutes_left(context)
    if left is None or left > 0:
        return None
    return Wait(words=f"limits.device_minutes ({context.policy.limits.device_minutes:g} in 7 days) is used up")


def _rest(context: Context, cycles: Sequence[Cycle], events: Sequence[CycleEvent]) -> Wait | None:
    """Cool-down after a promotion and back-off after other ends since; the one that lasts longer."""
    if not cycles:
        return None
    limits, last = context.policy.limits, cycles[-1]
    rolled_back = {event.cycle_id: event.time for event in events if event.kind == "rolled_back"}
    rests, in_a_row = list[tuple[float, str]](), 0
    for cycle in reversed(cycles):
        if cycle.state == "promoted" and not (cycle is last and cycle.cycle_id in rolled_back):
            if cycle.cycle_id not in rolled_back:
                rests.append(((cycle.ended or 0.0) + seconds(limits.cool_down), "cool-down after the promotion"))
            break
        in_a_row += 1
    if in_a_row:
        end = max(last.ended or 0.0, rolled_back.get(last.cycle_id, 0.0))
        times = "1 cycle" if in_a_row == 1 else f"{in_a_row} cycles"
        rests.append((end + limits.back_off_seconds(in_a_row), f"back-off after {times} without promotion"))
    until, words = max(rests, default=(0.0, ""))
    return Wait(words=f"{words}, until {utc(until)}", until=until) if context.now < until else None


def _per_week(context: Context, cycles: Sequence[Cycle]) -> Wait | None:
    recent = [cycle.created for cycle in cycles if cycle.created > context.now - WEEK]
    most = context.policy.limits.cycles_per_week
    if len(recent) < most:
        return None
    until = sorted(recent)[-most] + WEEK
    return Wait(words=f"limits.cycles_per_week ({most}), until {utc(until)}", until=until)


def _fresh_labels(context: Context) -> Wait | None:
    """After a rollback, rows that came after it have to be mature."""
    since = quarantine_of(context.store, context.policy.model).since
    if since is None:
        return None
    policy = context.policy
    needed, after = policy.data.minimum_rows.evaluation, seconds(policy.data.mature_after)
    fresh = count_labels(policy, context.database, since=since + after, now=context.now)
    if fresh >= needed:
        return None
    return Wait(words=f"labels from after the rollback of {utc(since)}: {fresh:,} of {needed:,} are mature")
