"""Judgement: what the gate says of a candidate; kept with the cycle."""

from msgspec import Struct

from lightning_app.retraining.gate.alpha_spending import Look


class SliceJudgement(Struct, frozen=True, kw_only=True):
    """Candidate and champion on a part of the rows.

    Attributes:
        name: `column=value`.
        rows: Its rows.
        champion_error: Mean error of the champion.
        candidate_error: Mean error of the candidate.
        p_value: Of "the candidate does no harm here", corrected for the number of slices.
        harmed: Whether the candidate is surely worse than allowed.
    """

    name: str
    rows: int
    champion_error: float
    candidate_error: float
    p_value: float
    harmed: bool


class Judgement(Struct, frozen=True, kw_only=True):
    """Result of the gate.

    Attributes:
        passed: Whether the candidate passes.
        reason: Why, in one line.
        number: Which candidate of this champion it is, from 1.
        alpha: Largest p-value with which it passes by itself; a part of the policy's alpha, which all candidates share.
        evidence: Evidence of all candidates of this champion together; None if the rows overlap those of one before.
        evidence_needed: Evidence with which it passes.
        margin: How much worse the candidate may be, relative.
        p_value: Of "the candidate is not better than the margin asks".
        error_name: What is compared.
        champion_error: Mean error of the champion.
        candidate_error: Mean error of the candidate.
        ratio: The second divided by the first.
        low: Lower end of the 95 % interval of the ratio.
        high: Upper end. None stands for numbers that are not finite, in errors, ratio and interval.
        since: First event of the rows, Unix seconds; None if they have no time.
        until: Last event of them.
        rows: Rows that both answered.
        rows_needed: Rows below which nothing could be said, for errors that are correlated like these.
        rejected_by_champion: Rows that the champion does not answer.
        rejected_by_candidate: Rows that the candidate does not answer.
        block: Rows per block of the test.
        slices: Parts of the rows.
        notes: What else a reader of the numbers has to know.
    """

    passed: bool
    reason: str
    number: int
    alpha: float
    evidence: float | None
    evidence_needed: float
    margin: float
    p_value: float
    error_name: str
    champion_error: float | None
    candidate_error: float | None
    ratio: float | None
    low: float | None
    high: float | None
    since: float | None
    until: float | None
    rows: int
    rows_needed: int
    rejected_by_champion: int = 0
    rejected_by_candidate: int = 0
    block: int = 1
    slices: tuple[SliceJudgement, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def look(self) -> Look:
        """What the next candidates have to know of this one."""
        return Look(p_value=self.p_value, since=self.since, until=self.until)
