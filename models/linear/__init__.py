"""Linear models solved to convergence, and the row without features that every model has to beat."""

from models.linear.linear_model import LinearModel
from models.linear.majority_row import MajorityRow

__all__ = ["LinearModel", "MajorityRow"]
