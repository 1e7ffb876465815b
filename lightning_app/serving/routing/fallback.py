"""Fallback: what answers if an arm does not, before the deadline passes; the next of the chain, then its error."""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeAlias

from lightning_app.packaging.format.errors import RequestError, RunError
from lightning_app.serving.inference.errors import BreakerOpenError, BusyError, DeadlineError, HangError
from lightning_app.serving.inference.loaded_model import Answer, LoadedModel
from lightning_app.serving.inference.model_request import ModelRequest
from lightning_app.serving.routing.breaker import Attempt
from lightning_app.serving.routing.reserve import LEAST_SHARE
from lightning_app.serving.routing.served_model import Arm, ServedModel

_log = logging.getLogger("lightning_app.serving")
Ask: TypeAlias = Callable[[Arm, ModelRequest, float], Awaitable[Answer]]
"""Asks an arm; it has so many seconds."""
Again: TypeAlias = Callable[[LoadedModel], ModelRequest]
"""Reads the request for another model; raises where it does not fit that."""


class Answered(NamedTuple):
    """An answer, and what gave it.

    Attributes:
        answer: The answer.
        request: The request as that model took it.
        model: What answered; for a constant the form of the model.
    """

    answer: Answer
    request: ModelRequest
    model: LoadedModel


async def answer_with_fallback(
    served: ServedModel, arm: Arm, request: ModelRequest, ask: Ask, again: Again, *, until: float, may_fall_back: bool
) -> Answered:
    """Asks an arm, and those of the fallback chain in its place if it does not answer.

    Args:
        served: The model.
        arm: The arm that was chosen, with a breaker.
        request: The request for it.
        ask: Asks an arm.
        again: Reads the request for another model.
        until: Deadline, by `time.perf_counter`.
        may_fall_back: Whether another model may answer; not where the request is part of a stream.

    Returns:
        The answer; `degraded` of one that is not the arm's own says why.

    Raises:
        BreakerOpenError: The arm is not asked at present, and nothing else can answer.
        Exception: Of the arm, if nothing else can answer, or if it is the client's.
    """
    breaker = arm.breaker
    assert breaker is not None
    chain = served.fallbacks(arm) if may_fall_back else []
    constant = served.constant if may_fall_back else None
    has_chain = bool(chain) or constant is not None
    attempt = breaker.begin()
    reason: str | None = "breaker"
    error: Exception = BreakerOpenError(breaker.seconds_left)
    doubtful: Attempt | None = None
    if attempt is not None:
        left = until - time.perf_counter()
        kept = served.reserve.of(left, chain[0].batcher.plan.seconds_of(1) if chain else 0.0) if has_chain else 0.0
        try:
            answer = await ask(arm, request, left - kept)
        except asyncio.CancelledError:
            breaker.drop(attempt)
            raise
        except Exception as failed:
            error, reason = failed, failure_of(failed)
            is_own = reason in ("hang", "error") or (reason == "deadline" and _is_full(served, left))
            if reason == "run":  # of the model or of the request: another model will tell
                doubtful, reason = attempt, "error"
            elif is_own:
                breaker.end(attempt, reason)
            else:
                breaker.drop(attempt)
        else:
            breaker.end(attempt)
            return Answered(answer, request, arm.model)
    try:
        if reason is not None and has_chain and _falls_back(served, reason):
            answered = await _from_chain(served, chain, ask, again, until, constant is not None)
            if answered is not None and doubtful is not None:
                breaker.end(doubtful, "error")
                doubtful = None
            if answered is None and constant is not None:
                if attempt is None:
                    _check(arm, request)
                answered = Answered(constant.answer(request.num_rows), request, constant.model)
            if answered is not None:
                return _degraded(answered, reason)
    finally:
        if doubtful is not None:
            breaker.drop(doubtful)
    raise error


def failure_of(error: Exception) -> str | None:
    """Why an arm did not answer, in a word; None if it is the client's error.

    Args:
        error: Error of an attempt. `run` is one of the graph, on a request that the signature allows.
    """
    if isinstance(error, HangError):
        return "hang"
    if isinstance(error, BreakerOpenError):  # it opened while the request waited
        return "breaker"
    if isinstance(error, DeadlineError):
        return "deadline"
    if isinstance(error, BusyError):
        return "busy"
    if isinstance(error, RequestError):
        return "run" if isinstance(error, RunError) or isinstance(error.__cause__, RunError) else None
    return "store" if is_store_error(error) else "error"


def is_store_error(error: Exception) -> bool:
    """Whether an online store could not be read.

    Args:
        error: Any error.
    """
    store = sys.modules.get("features.store.errors")  # where no store is served, nothing of it is imported
    return store is not None and isinstance(error, store.StoreError)


async def _from_chain(
    served: ServedModel, chain: list[Arm], ask: Ask, again: Again, until: float, has_constant: bool
) -> Answered | None:
    """The answer of the first fallback that gives one."""
    for place, arm in enumerate(chain):
        began = time.perf_counter()
        left = until - began
        if left <= 0:
            return None
        is_last = place == len(chain) - 1 and not has_constant
        attempt = None if arm.breaker is None else arm.breaker.begin()
        if arm.breaker is not None and attempt is None:
            continue
        failure: str | None = None
        try:
            request = again(arm.model)
            answer = await ask(arm, request, left if is_last else (1 - LEAST_SHARE) * left)
        except asyncio.CancelledError:
            if arm.breaker is not None and attempt is not None:
                arm.breaker.drop(attempt)
            raise
        except Exception as error:  # the request does not fit it, or it fails too
            failure = failure_of(error) or "request"
        if arm.breaker is not None and attempt is not None:
            if failure in (None, "hang", "error"):
                arm.breaker.end(attempt, failure)
            else:
                arm.breaker.drop(attempt)
        if failure is None:
            served.reserve.took(time.perf_counter() - began)
            return Answered(answer, request, arm.model)
    return None


def _check(arm: Arm, request: ModelRequest) -> None:
    """Raises `RequestError` for a request that the arm would have refused, as a constant answers anything."""
    try:
        arm.model.prepare(request)
    except RequestError:
        raise
    except Exception:  # its store is down too: nobody can tell
        _log.debug("a request could not be checked", exc_info=True)


def _falls_back(served: ServedModel, reason: str) -> bool:
    if reason == "busy":
        return served.config.fallback_on_busy
    return reason != "store" or served.config.store_down == "fallback"


def _is_full(served: ServedModel, left: float) -> bool:
    """Whether the arm had the time that the configuration gives it: a client's short deadline is not its failure."""
    return left >= 0.9 * served.config.deadline_ms / 1000


def _degraded(answered: Answered, reason: str) -> Answered:
    answer, model = answered.answer, answered.model
    answer.degraded = reason
    who = "a constant" if model.version is None else f"version {model.version}"
    if model.version is None and model.digest != "constant":
        who = f"package {model.digest[:12]}"
    answer.notes = [*answer.notes, f"degraded ({reason}): {who} answered in place of the model"]
    return answered
