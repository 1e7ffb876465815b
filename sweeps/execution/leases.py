"""Leases: agreement on which process runs which trial, over any Optuna storage.

A study of its own, see `sweeps.storage.claims`, is a log: its trials are claims, and a storage gives each the next
number, in one step that all its users see in one order. A claim says which claim it follows; it counts if that one was
still the last of its trial. So of two that follow the same one the first counts, and everyone who reads the log agrees.

A process renews all its claims at once, by incrementing a counter in one attribute of that study. A process that has
seen the counter unchanged for the length of a lease, on its own clock, may adopt the trials of the silent process.
"""

import time
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial

from sweeps.execution.owner import Owner
from sweeps.execution.running_trial import REPORTED
from sweeps.reporting.outcome import Fits
from sweeps.storage.claims import claims_of

_CLAIM = "claim"
_GONE = -1
_NOBODY = ""


@dataclass(frozen=True)
class _Claim:
    """The last claim of a trial that counts."""

    number: int
    owner: str
    step: int | list[int]
    losses: int


@dataclass
class _Watched:
    """How long a process has not been heard of, in seconds in which it could have been."""

    beat: int | None
    looked: float
    silent: float = 0.0


class Leases:
    """Leases of this process on trials of a study that other processes work on too.

    Args:
        study: The study; the claims are kept beside its storage.
        seconds: Time without renewal after which other processes may adopt its trials.
    """

    def __init__(self, study: optuna.Study, *, seconds: float) -> None:
        self.study = study
        self.seconds = seconds
        self.owner = Owner.here()
        self._claims = claims_of(study)
        self._last: dict[int, _Claim] = {}
        self._read = 0
        self._mine: set[int] = set()
        self._watched: dict[str | int, _Watched] = {}
        self._beat = 0
        self._renewed = -float("inf")

    @property
    def pause(self) -> float:
        """Largest time between two calls of `renew`, in seconds."""
        return self.seconds / 4

    def take(self, number: int) -> bool:
        """Claims a trial that this process has created.

        Args:
            number: Number of the trial.

        Returns:
            Whether the claim succeeded; False if another process claimed it first, after it was unclaimed for too long.
        """
        self._renew_if_due()
        return self._claim(number, None)

    def adopt(self) -> int | None:
        """Claims a running trial that was released, or whose owner is dead or has not renewed in time.

        Returns:
            Its number; None if there is none.
        """
        self._renew_if_due()
        for number, judged in self._watch().items():
            if self._claim(number, judged):
                return number
        return None

    def release(self, number: int) -> None:
        """Releases a trial in its present state."""
        if self.holds(number):
            self._write(number, self._last[number], owner=_NOBODY)
        self._mine.discard(number)

    def holds(self, number: int) -> bool:
        """Whether this process owns a trial, according to the storage now."""
        self._sync()
        return self._holds(number)

    def losses(self, number: int) -> int:
        """How often in a row a trial was adopted without a report in between."""
        claim = self._last.get(number)
        return claim.losses if claim else 0

    def renew(self) -> list[int]:
        """Renews the leases if due; call it at least every `pause` seconds.

        Returns:
            Numbers of trials that other processes have adopted, because this one did not renew in time.
        """
        if self._renew_if_due():
            self._watch()
        taken = [number for number in self._mine if not self._holds(number)]
        self._mine.difference_update(taken)
        return taken

    def leave(self) -> None:
        """Releases everything this process owns at once."""
        if self._beat:
            self._claims.set_user_attr(self.owner.token, {"beat": _GONE})
        self._mine.clear()

    def _holds(self, number: int) -> bool:
        claim = self._last.get(number)
        return claim is not None and claim.owner == self.owner.token

    def _renew_if_due(self) -> bool:
        now = time.monotonic()
        if now - self._renewed < self.pause:
            return False
        self._beat += 1
        self._claims.set_user_attr(self.owner.token, {"beat": self._beat, **self.owner.words()})
        self._renewed = now
        self._sync()
        return True

    def _claim(self, number: int, before: _Claim | None) -> bool:
        self._write(number, before, owner=self.owner.token)
        self._sync()
        if self._holds(number):
            self._mine.add(number)
        return self._holds(number)

    def _write(self, number: int, before: _Claim | None, *, owner: str) -> None:
        step: int | list[int] = self._step(number) if before else -1
        words = {"trial": number, "after": before.number if before else -1, "owner": owner, "step": step}
        # A trial that has ended is never read again from a data base, whatever its state: claims cost one row each.
        self._claims.add_trial(create_trial(state=TrialState.FAIL, user_attrs={_CLAIM: words}))

    def _step(self, number: int) -> int | list[int]:
        """How far a trial has come; of one with several fits, how many have ended and how far the present one is."""
        trial = self.study.get_trials(deepcopy=False)[number]
        if (fits := Fits.of(trial)) is not None:
            return [len(fits.values), fits.step]
        return max(trial.intermediate_values, default=int(trial.user_attrs.get(REPORTED, {}).get("step", -1)))

    def _sync(self) -> None:
        """Reads new claims from the log."""
        for trial in self._claims.get_trials(deepcopy=False)[self._read :]:
            words = trial.user_attrs[_CLAIM]
            before = self._last.get(words["trial"])
            if words["after"] == (before.number if before else -1):
                again = before is not None and before.owner != _NOBODY and before.step == words["step"]
                losses = before.losses + 1 if before and again else 0
                self._last[words["trial"]] = _Claim(trial.number, words["owner"], words["step"], losses)
            self._read += 1

    def _watch(self) -> dict[int, _Claim | None]:
        """Running trials without a live owner, each with its last claim, which must still be the last."""
        running = [
            trial.number
            for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if trial.number not in self._mine
        ]
        if not running:
            self._watched.clear()
            return {}
        self._sync()
        owners = self._claims.user_attrs
        claims = {number: self._last.get(number) for number in running}
        keys = {number: claim.owner if claim else number for number, claim in claims.items()}
        is_lost = {key: self._is_lost(key, owners) for key in set(keys.values())}
        self._watched = {key: watched for key, watched in self._watched.items() if key in is_lost}
        return {number: claims[number] for number in running if is_lost[keys[number]]}

    def _is_lost(self, key: str | int, owners: dict[str, Any]) -> bool:
        """Whether an owner, or a process that created a trial without claiming it yet, is gone."""
        if key == _NOBODY:
            return True
        words = owners.get(str(key), {})
        beat = words.get("beat")
        if beat == _GONE or (words and Owner.read(str(key), words).is_dead()):
            return True
        now = time.monotonic()
        watched = self._watched.get(key)
        if watched is None or watched.beat != beat:
            self._watched[key] = _Watched(beat, now)
            return False
        # Where this process was paused itself, or the storage was away, the other one may not have been heard.
        watched.silent += min(now - watched.looked, self.seconds / 2)
        watched.looked = now
        return watched.silent >= self.seconds
