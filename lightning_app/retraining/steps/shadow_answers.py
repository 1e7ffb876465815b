"""Shadow answers of a cycle's version, from the journal: enough of them, and near enough to those of the champion."""

from msgspec import Struct

from lightning_app.retraining.config.policy import ShadowPolicy
from lightning_app.retraining.cycles import Cycle
from lightning_app.serving.experiments.analysis.shadow import compare_shadow, shadow_models
from lightning_app.serving.journal.stores.database import JournalDatabase


class ShadowJudgement(Struct, frozen=True, kw_only=True):
    """What the answers say.

    Attributes:
        passed: Whether they are as the policy asks; None if there are too few.
        words: The numbers.
    """

    passed: bool | None
    words: str


def judge_shadow(database: JournalDatabase, cycle: Cycle, policy: ShadowPolicy, *, since: float) -> ShadowJudgement:
    """Judges the answers of a version that is shadow.

    Args:
        database: Database of the journal.
        cycle: The cycle.
        policy: What is asked.
        since: When it became shadow, Unix seconds.
    """
    statement = f"SELECT count(*), count(error) FROM {database.table('shadows')} WHERE digest = ? AND time >= ?"
    ((requests, errors),) = database.execute(statement, (cycle.facts["digest"], since))
    counted = f"{requests:,} of {policy.requests:,} answers"
    if requests < policy.requests:
        return ShadowJudgement(passed=None, words=counted)
    compared = [
        compare_shadow(database, shadow)
        for shadow in shadow_models(database)
        if shadow.digest == cycle.facts["digest"] and shadow.model == cycle.model
    ]
    agreement = next((one.agreement for one in compared if one.agreement is not None), None)
    words = f"{requests:,} answers, {errors / requests:.2%} failed"
    words += "" if agreement is None else f", {agreement:.1%} agree with the champion's"
    if errors > policy.errors * requests:
        return ShadowJudgement(passed=False, words=f"{words}; at most {policy.errors:.2%} may fail")
    if policy.agreement is not None and (agreement is None or agreement < policy.agreement):
        return ShadowJudgement(passed=False, words=f"{words}; at least {policy.agreement:.1%} have to agree")
    return ShadowJudgement(passed=True, words=words)
