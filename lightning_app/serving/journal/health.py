"""JournalHealth: what readiness and metrics say of the journal."""

from typing import Literal

import msgspec


class JournalHealth(msgspec.Struct, kw_only=True):
    """State of the journal as one worker sees it; counts are since the worker started, but for `pending`.

    Attributes:
        state: `up`, or `down` while nothing can be written.
        since: When the state began, Unix seconds.
        last_error: Why the journal was down last.
        written: Predictions that were written.
        repeated: Predictions whose id the journal held already.
        not_sampled: Predictions that were left out by `sample`.
        outcomes: Outcomes that were accepted.
        commits: Transactions.
        commit_seconds: Time in these transactions.
        refused: Predictions that could not be written; their requests were answered with an error.
        spilled: Records that were written to spill files.
        pending: Records in the spill folder that are not replayed yet, of all workers and of those of before; what
            others have written is counted now and then.
        replayed: Records of spill files that were written to the journal.
        torn: Spill files whose last record was cut off; its request was never answered.
        damaged: Records of spill files that cannot be read or written; their files are kept.
        conflicts: Replayed records that the journal holds with another content.
        refused_outcomes: Outcomes of spill files that are refused when their predictions are known.
        unreadable_bodies: Bodies or answers that are not kept, because columns are to be dropped or hashed and their
            format is unknown.
        shadows: Answers of shadows that were written.
        lost_shadows: Answers of shadows that were not: too many waited, or the journal can hold them at no time.
    """

    state: Literal["up", "down"] = "down"
    since: float = 0.0
    last_error: str | None = None
    written: int = 0
    repeated: int = 0
    not_sampled: int = 0
    outcomes: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    refused: int = 0
    spilled: int = 0
    pending: int = 0
    replayed: int = 0
    torn: int = 0
    damaged: int = 0
    conflicts: int = 0
    refused_outcomes: int = 0
    unreadable_bodies: int = 0
    shadows: int = 0
    lost_shadows: int = 0
