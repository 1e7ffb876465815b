"""Base classes of definitions: immutable, keyword-only, strict about unknown keys."""

import msgspec


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Part of a definition; equal to its YAML form key by key.

    Attributes:
        description: What it is.
    """

    description: str = ""


class FeatureDefinition(Definition, frozen=True, kw_only=True, tag_field="kind"):
    """A feature or a label; its class is named by `kind`.

    Attributes:
        unit: Unit of the values; "" for none, or for that of the column it comes from.
    """

    unit: str = ""
