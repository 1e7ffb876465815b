"""Tick: advances the cycle of a model as far as it can now, and ends; called by cron, a timer, or `retrain watch`.

Each change is one transaction, written when its effect is done. Effects can be repeated: a tick that was killed between
the two is followed by one that does the same again, to the same end.
"""

from collections.abc import Callable, Mapping
from contextlib import closing

from msgspec import Struct

from features.definitions.duration import seconds
from lightning_app.errors import describe
from lightning_app.registry import PromotionConflictError, RegistryUnreachableError
from lightning_app.retraining.config.policy import RetrainPolicy
from lightning_app.retraining.cycles import Cycle, LiveState, TickLease, tick_lease
from lightning_app.retraining.steps.begin import begin, watch_promoted
from lightning_app.retraining.steps.cleanup import clean_up
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.freeze import freeze_data
from lightning_app.retraining.steps.judge_candidate import judge_candidate
from lightning_app.retraining.steps.limits import limit
from lightning_app.retraining.steps.outcome import Advance, Outcome, Repeat, Stop, Wait
from lightning_app.retraining.steps.register import register
from lightning_app.retraining.steps.rollout import follow_canary, follow_shadow, roll_out
from lightning_app.retraining.steps.train import follow_training, start_training, wait_for_training
from lightning_app.serving.journal.errors import JournalError
from lightning_app.serving.journal.stores import open_database

STEPS: Mapping[LiveState, Callable[[Context, Cycle], Outcome]] = {
    "triggered": freeze_data,
    "frozen": start_training,
    "training": follow_training,
    "exported": register,
    "registered": judge_candidate,
    "gated": roll_out,
    "shadow": follow_shadow,
    "canary": follow_canary,
}


class LostLeaseError(RuntimeError):
    """Another tick has taken over while this one was stopped."""


class StepFailedError(RuntimeError):
    """A step cannot be done now; it is tried again by the next ticks."""


class TickReport(Struct, frozen=True, kw_only=True):
    """What a tick did.

    Attributes:
        changes: A line for each change.
        waits: What the model waits for.
        until: When the wait ends otherwise, Unix seconds.
        failure: What could not be done now, and is tried again; None if all was done.
    """

    changes: list[str]
    waits: str
    until: float | None = None
    failure: str | None = None


def tick(policy: RetrainPolicy, *, now: float | None = None, say: Callable[[str], object] | None = None) -> TickReport:
    """Advances the cycle of a model.

    Args:
        policy: The policy.
        now: Unix seconds; None takes the clock of the database.
        say: Called with each line as it happens.

    Raises:
        AnotherTickError: Another tick of the model is running.
        LostLeaseError: Another tick has taken over.
        JournalError: The journal cannot be reached; nothing is lost.
        ValueError: The policy does not fit what there is.
    """
    with closing(open_database(policy.journal, create=False)) as database:
        context = Context(policy=policy, database=database, now=database.now() if now is None else now)
        context.store.make()
        with tick_lease(database, url=policy.journal, model=policy.model, folder=context.model_folder) as lease:
            return _Tick(context, lease, say, fixed=now is not None).run()


class _Tick:
    def __init__(self, context: Context, lease: TickLease, say: Callable[[str], object] | None, *, fixed: bool) -> None:
        self._context, self._lease, self._say, self._fixed = context, lease, say, fixed
        self._changes: list[str] = []

    def run(self) -> TickReport:
        context = self._context
        if back := context.store.set_clock_back(context.policy.model, now=context.now):
            self._tell(context.policy.model, "clock", f"set back by {back:.0f} s; waits begin anew")
        try:
            return self._advance()
        except StepFailedError as error:
            return self._report("the next tick, which tries again", failure=str(error))
        except (RegistryUnreachableError, PromotionConflictError) as error:
            return self._report("the next tick, which tries again", failure=describe(error))

    def _advance(self) -> TickReport:
        context, model = self._context, self._context.policy.model
        cycle = context.store.live(model)
        if cycle is None:
            if (rolled_back := watch_promoted(context)) is not None:
                self._tell(model, "rolled_back", rolled_back)
            begun = begin(context, self._lease, lambda kind, words: self._tell(model, kind, words))
            if isinstance(begun, Wait):
                return self._report(begun.words, until=begun.until)
            cycle = begun
            self._tell(f"{model} {cycle.cycle_id}", "triggered", cycle.spec["words"])
        return self._follow(cycle)

    def _follow(self, cycle: Cycle) -> TickReport:
        waited = False
        while True:
            self._look_at_clock()
            outcome = self._outcome(cycle)
            self._look_at_clock()
            if isinstance(outcome, Stop):
                return self._end(cycle, outcome)
            if isinstance(outcome, Wait):
                if cycle.state == "training" and self._context.policy.training.executor.wait and not waited:
                    wait_for_training(self._context, cycle)
                    waited = True
                    continue
                waits = {"words": outcome.words, "until": outcome.until}
                if cycle.facts.get("waits") != waits:
                    self._change(cycle, facts={"waits": waits, "failing": None})
                return self._report(f"{cycle.state}: {outcome.words}", until=outcome.until)
            cycle = self._go_on(cycle, outcome)

    def _outcome(self, cycle: Cycle) -> Outcome:
        """What the step says; where it fails, the failure, or the end of the cycle if it has failed for too long."""
        if (ending := cycle.facts.get("ending")) is not None:
            return Stop(state=ending["state"], reason=ending["reason"])
        for order in self._context.orders(cycle, "reject"):
            return Stop(state="rejected", reason=f"{order.facts['who']}: {order.facts['reason']}")
        try:
            return STEPS[cycle.state](self._context, cycle)  # type: ignore[index]
        except JournalError:
            raise
        except Exception as error:
            return self._failing(cycle, error)

    def _failing(self, cycle: Cycle, error: Exception) -> Outcome:
        now, limits = self._context.now, self._context.policy.limits
        since = min(float((cycle.facts.get("failing") or {}).get("since", now)), now)
        failing = {"since": since, "words": describe(error)}
        if now - since >= seconds(limits.retry_for):
            return Stop(state="failed", reason=f"{cycle.state}: failing for {limits.retry_for}: {describe(error)}")
        if cycle.facts.get("failing") != failing:
            self._change(cycle, facts={"failing": failing})
        raise StepFailedError(f"{cycle.state}: {describe(error)}") from error

    def _go_on(self, cycle: Cycle, outcome: Advance | Repeat) -> Cycle:
        facts = {**outcome.facts, "waits": None, "failing": None}
        if isinstance(outcome, Advance):
            after = self._change(cycle, state=outcome.state, facts=facts, words=outcome.words)
            self._tell(f"{cycle.model} {cycle.cycle_id}", outcome.state, outcome.words)
        else:
            after = self._change(cycle, facts=facts, attempt=outcome.attempt, kind=outcome.kind, words=outcome.words)
            self._tell(f"{cycle.model} {cycle.cycle_id}", outcome.kind, outcome.words)
        return after

    def _end(self, cycle: Cycle, stop: Stop) -> TickReport:
        """Writes how the cycle is to end, undoes what has to be undone, and ends it."""
        if cycle.facts.get("ending") is None:
            ending = {"state": stop.state, "reason": stop.reason}
            cycle = self._change(cycle, facts={**stop.facts, "ending": ending, "waits": None})
        final, facts = clean_up(self._context, cycle, stop)
        self._change(cycle, state=final.state, facts=facts, reason=final.reason, words=final.reason)
        self._tell(f"{cycle.model} {cycle.cycle_id}", final.state, final.reason)
        wait = limit(self._context, by_hand=False)
        return self._report("a trigger") if wait is None else self._report(wait.words, until=wait.until)

    def _look_at_clock(self) -> None:
        if not self._fixed:
            self._context.now = max(self._context.now, self._context.database.now())

    def _change(self, cycle: Cycle, **change: object) -> Cycle:
        after = self._context.store.change(cycle, lease=self._lease, now=self._context.now, **change)  # type: ignore[arg-type]
        if after is None:
            raise LostLeaseError(f"retrain: {cycle.cycle_id} was changed by another tick meanwhile")
        return after

    def _tell(self, subject: str, kind: str, words: str) -> None:
        line = f"{subject}: {kind}: {words}"
        self._changes.append(line)
        if self._say is not None:
            self._say(line)

    def _report(self, waits: str, *, until: float | None = None, failure: str | None = None) -> TickReport:
        return TickReport(changes=self._changes, waits=waits, until=until, failure=failure)
