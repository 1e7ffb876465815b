"""Catalog of features: name, type, unit, owner and definition of each, for lists and pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml

from features.definitions import Definitions, FittedFeature, HistoryFeature
from features.definitions.value_type import unit, value_type


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """A feature as users read about it.

    Attributes:
        name: Full name, `view.feature`.
        kind: Its `kind` in the file.
        runs: `history`, `row` or `fitted`.
        type: Type of its values.
        unit: Unit of its values; "" for none.
        entity: What it describes; "" if it has no entity.
        source: Source of its history; "" if it reads the row alone.
        ttl: Age of the newest event from which it is missing; "" for any.
        owner: Who answers for it; "" if nobody is named.
        description: What it is.
        definition: Its definition as one line of YAML.
        statistics: Statistics over a table, see `statistics`; None if no table was given.
        used_by: Packages that read it.
    """

    name: str
    kind: str
    runs: str
    type: str
    unit: str
    entity: str
    source: str
    ttl: str
    owner: str
    description: str
    definition: str
    statistics: Mapping[str, Any] | None = None
    used_by: tuple[str, ...] = ()


def catalog(definitions: Definitions, names: Sequence[str] | None = None) -> list[CatalogEntry]:
    """Describes features.

    Args:
        definitions: Where they are defined.
        names: Full names, or names of views; None for all.

    Raises:
        ValueError: A name is unknown.
    """
    entries = []
    for name in definitions.select(names):
        view_name, _, key = name.partition(".")
        view = definitions.views[view_name]
        feature = view.features[key]
        of_history = isinstance(feature, HistoryFeature)
        source = definitions.sources[view.source] if of_history and view.source else None
        plain = msgspec.to_builtins(feature)
        parts = {key: value for key, value in plain.items() if key not in ("description", "unit")}
        entries.append(
            CatalogEntry(
                name=name,
                kind=plain["kind"],
                runs="history" if of_history else "fitted" if isinstance(feature, FittedFeature) else "row",
                type=value_type(definitions, name),
                unit=unit(definitions, name),
                entity=view.entity or "",
                source=(view.source or "") if of_history else "",
                ttl=(view.ttl or "") if of_history else "",
                owner=view.owner or (source.owner if source else ""),
                description=feature.description,
                definition=yaml.safe_dump(parts, default_flow_style=True, sort_keys=False, width=10_000).strip(),
            )
        )
    return entries
