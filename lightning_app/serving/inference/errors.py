"""Errors of inference that are not the client's: too busy, too late."""


class BusyError(Exception):
    """As many requests wait for the model as may wait."""


class DeadlineError(Exception):
    """The deadline of a request passed before its answer was there."""


class HangError(Exception):
    """A call of the model did not end, and was given up."""
