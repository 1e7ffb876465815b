"""Profiles of tables, and contracts drafted from them."""

from features.contracts.profile.draft import draft_contract
from features.contracts.profile.inferred_types import typed_table
from features.contracts.profile.table_profile import ColumnProfile, TableProfile, TimeProfile, profile_table

__all__ = ["ColumnProfile", "TableProfile", "TimeProfile", "draft_contract", "profile_table", "typed_table"]
