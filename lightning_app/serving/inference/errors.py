"""Errors of inference that are not the client's: too busy, too late."""


class BusyError(Exception):
    """As many requests wait for the model as may wait."""


class DeadlineError(Exception):
    """The deadline of a request passed before its answer was there."""
