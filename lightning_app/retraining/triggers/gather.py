"""Gathering of trigger facts: from the journal, the cycles, the registry's champion, and the files of the policy."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from features.definitions.duration import seconds
from lightning_app.config.shipped_configs import find_config
from lightning_app.monitoring.report.structs import MonitorReport
from lightning_app.retraining.config.policy import CENSORED, RetrainPolicy
from lightning_app.retraining.frozen.contract_check import contract_of, digest_of_contract
from lightning_app.retraining.triggers.facts import ChampionFacts, TriggerFacts
from lightning_app.serving.journal.stores.database import JournalDatabase

if TYPE_CHECKING:
    from lightning_app.retraining.cycles import Cycle


def gather(
    policy: RetrainPolicy,
    *,
    database: JournalDatabase,
    cycles: "Sequence[Cycle]",
    champion: int | None,
    registered: float | None,
    now: float,
    report: MonitorReport | None = None,
) -> TriggerFacts:
    """Gathers what triggers are judged by.

    Args:
        policy: The policy.
        database: Database of the journal.
        cycles: All cycles of the model; their spec has `trigger`, `window`, `champion`, `cut`, `config_sha256` and
            `contract_sha256`, see `current_digests`.
        champion: Version of the champion; None without one.
        registered: When the champion was registered, Unix seconds.
        now: Unix seconds.
        report: Report of the monitoring; None without one.

    Raises:
        JournalError: The journal cannot be reached.
        ValueError: A file of the policy cannot be read.
    """
    config, contract = current_digests(policy)
    if champion is None:
        return TriggerFacts(champion=None, report=report, config=config, contract=contract)
    made = next((cycle for cycle in reversed(cycles) if cycle.facts.get("version") == champion), None)
    spec = {} if made is None else made.spec
    since = float(spec.get("cut") or (now if registered is None else registered))
    if made is not None:
        since = min(since, made.created)  # a cut of a clock that was set back since
    own = ChampionFacts(
        version=champion, since=since, config=spec.get("config_sha256"), contract=spec.get("contract_sha256")
    )
    labels = None
    if policy.triggers.labels is not None:
        labels = count_labels(policy, database, since=since, now=now)
    # A cycle whose data could not be frozen has not used its trigger up: it is tried again, after the back-off.
    begun = [cycle for cycle in cycles if cycle.spec.get("champion") == champion and "frozen" in cycle.facts]
    return TriggerFacts(
        champion=own,
        labels=labels,
        report=report,
        begun=frozenset((str(cycle.spec.get("trigger")), str(cycle.spec.get("window"))) for cycle in begun),
        config=config,
        contract=contract,
    )


def current_digests(policy: RetrainPolicy) -> tuple[str, str | None]:
    """Digests of the files of a policy as they are now.

    Args:
        policy: The policy.

    Returns:
        config: Of the config of the training.
        contract: Of the data contract that the policy names; None if it names none.

    Raises:
        ValueError: A file cannot be read.
    """
    config = hashlib.sha256(Path(find_config(policy.training.config)).read_bytes()).hexdigest()
    contract = contract_of(policy.data.contract, None)
    return config, None if contract is None else digest_of_contract(contract)


def count_labels(policy: RetrainPolicy, database: JournalDatabase, *, since: float, now: float) -> int:
    """Mature labels of requests that were not mature yet at a time.

    Args:
        policy: The policy.
        database: Database of the journal.
        since: The time, Unix seconds.
        now: Unix seconds.

    Raises:
        JournalError: The journal cannot be reached.
    """
    after = seconds(policy.data.mature_after)
    window = (policy.model, since - after, now - after)
    asked = f"FROM {database.answered} AS p WHERE p.model = ? AND p.time > ? AND p.time <= ?"
    if policy.data.missing_outcome != CENSORED:
        ((rows,),) = database.execute(f"SELECT coalesce(sum(p.num_rows), 0) {asked}", window)
        return int(rows)
    join = asked.replace(" WHERE ", f" JOIN {database.table('outcomes')} AS o ON o.request_id = p.request_id WHERE ", 1)
    statement = f"SELECT count(*) {join} AND o.outcome IS NOT NULL AND o.time <= ?"
    ((labels,),) = database.execute(statement, (*window, now))
    return int(labels)
