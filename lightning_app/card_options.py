"""What only a person can write on a model card."""

from dataclasses import dataclass, fields


@dataclass
class CardOptions:
    """Sections of the model card of what this config makes; a package without them cannot be promoted.

    Attributes:
        intended_use: What the model is for, and for whom.
        out_of_scope: What it must not be used for.
        limitations: Where it is known to fail.
        ethical_considerations: Whom it may harm, and what was done about it.
        license: Of the model, as Hugging Face names licences, e.g. `apache-2.0`.
    """

    intended_use: str | None = None
    out_of_scope: str | None = None
    limitations: str | None = None
    ethical_considerations: str | None = None
    license: str | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Mandatory sections that are empty."""
        mandatory = [field.name for field in fields(self) if field.name != "license"]
        return tuple(name for name in mandatory if not (getattr(self, name) or "").strip())
