"""Registry errors."""

from lightning_app.errors import UsageError


class UnknownAliasError(UsageError):
    """No version of the model has the alias."""


class RegistryUnreachableError(ConnectionError):
    """The registry does not answer, or its database does not exist."""


class PromotionRefusedError(RuntimeError):
    """A version failed its gates; nothing was changed."""


class PromotionConflictError(RuntimeError):
    """Another process is changing the same model; nothing was changed."""
