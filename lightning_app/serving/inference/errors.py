"""Errors of inference that are not the client's: too busy, too late."""


class BusyError(Exception):
    """As many requests wait for the model as may wait."""


class DeadlineError(Exception):
    """The deadline of a request passed before its answer was there."""


class HangError(Exception):
    """A call of the model did not end, and was given up."""


class BreakerOpenError(Exception):
    """The model is not asked at present, because it has failed too often.

    Args:
        retry_after: Seconds until it is tried again.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__("the model has failed too often and is not asked at present")
        self.retry_after = retry_after
