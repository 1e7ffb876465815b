"""Selection of features: which ones a label needs, by importance on later rows or by association without repetition."""

from features.selection.correlation import by_correlation
from features.selection.importance import by_importance
from features.selection.reduced import reduced_definitions
from features.selection.scored import Scored
from features.selection.table import SelectionTable

__all__ = ["Scored", "SelectionTable", "by_correlation", "by_importance", "reduced_definitions"]
