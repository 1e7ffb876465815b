"""Data contracts: requirements on a table, checked in one polars pass."""

from features.contracts.contract import Contract
from features.contracts.evaluation import Split
from features.contracts.pandera_schema import PanderaContract, load_contract
from features.contracts.rules import Rule
from features.contracts.rules.base_rule import Severity
from features.contracts.rules.contract_column import ContractColumn
from features.contracts.rules.row_rules import Allowed, Compare, Monotone, Pattern, Range, Unique
from features.contracts.rules.table_rules import Freshness, Nulls, RowCount, UnknownShare
from features.contracts.verdict import ContractError, RuleResult, Verdict

__all__ = [
    "Allowed",
    "Compare",
    "Contract",
    "ContractColumn",
    "ContractError",
    "Freshness",
    "Monotone",
    "Nulls",
    "PanderaContract",
    "Pattern",
    "Range",
    "RowCount",
    "Rule",
    "RuleResult",
    "Severity",
    "Split",
    "Unique",
    "UnknownShare",
    "Verdict",
    "load_contract",
]
