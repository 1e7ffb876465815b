"""Model card options: the sections that only a person can write."""

from dataclasses import dataclass, fields


@dataclass
class CardOptions:
    """Sections of the model card; a package in which a mandatory one is empty fails the `card` gate.

    Attributes:
        intended_use: What the model is for, and for whom.
        out_of_scope: What the model must not be used for.
        limitations: Known failure cases.
        ethical_considerations: Whom the model may harm, and the mitigations.
        license: License of the model as a Hugging Face identifier, e.g. `apache-2.0`; optional.
    """

    intended_use: str | None = None
    out_of_scope: str | None = None
    limitations: str | None = None
    ethical_considerations: str | None = None
    license: str | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the mandatory sections that are empty."""
        mandatory = [field.name for field in fields(self) if field.name != "license"]
        return tuple(name for name in mandatory if not (getattr(self, name) or "").strip())
