"""What a registry cannot do."""


class RegistryUnreachableError(ConnectionError):
    """The registry does not answer, or its database is not there."""


class PromotionRefusedError(RuntimeError):
    """Gates refused a version; nothing was changed."""


class PromotionConflictError(RuntimeError):
    """Somebody else changes the same model; nothing was changed."""
