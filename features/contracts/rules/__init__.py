"""Rules of a data contract by kind."""

from features.contracts.rules.base_rule import BaseRule
from features.contracts.rules.row_rules import Allowed, Compare, Monotone, Pattern, Range, Unique
from features.contracts.rules.table_rules import Freshness, Nulls, RowCount, UnknownShare

Rule = Range | Nulls | Unique | Allowed | Pattern | Monotone | Compare | UnknownShare | Freshness | RowCount
RULES: tuple[type[BaseRule], ...] = (
    Range, Nulls, Unique, Allowed, Pattern, Monotone, Compare, UnknownShare, Freshness, RowCount,
)  # fmt: skip

__all__ = ["RULES", "BaseRule", "Rule"]
