"""Trigger facts: what triggers are judged by; gathered once per tick."""

from msgspec import Struct

from lightning_app.monitoring.report.structs import MonitorReport


class ChampionFacts(Struct, frozen=True, kw_only=True):
    """What is known of the champion.

    Attributes:
        version: Its number.
        since: When it was made, Unix seconds: its cut, else when it was registered.
        config: Digest of the config that it was trained with; None if no cycle made it.
        contract: Digest of the data contract that its data kept; None if no cycle made it.
    """

    version: int
    since: float
    config: str | None = None
    contract: str | None = None


class TriggerFacts(Struct, frozen=True, kw_only=True):
    """What triggers are judged by.

    Attributes:
        champion: The champion; None without one.
        labels: Mature labels that the champion has not seen; None if nobody asks.
        report: Report of the monitoring; None without one.
        config: Digest of the config of the training as it is now.
        contract: Digest of the data contract as it is now; None without one.
        suggested: Kind and window of the triggers that were only suggested.
        begun: Kind and window of the triggers that cycles with this champion were begun by.
    """

    champion: ChampionFacts | None
    labels: int | None = None
    report: MonitorReport | None = None
    config: str | None = None
    contract: str | None = None
    suggested: frozenset[tuple[str, str]] = frozenset()
    begun: frozenset[tuple[str, str]] = frozenset()
