"""Gradient-boosted trees on feature tables: one form of trees for every library that fits them."""

from models.trees.boosted_trees import BoostedTrees
from models.trees.booster import Booster
from models.trees.lightgbm_booster import LightGBM
from models.trees.objective import Objective
from models.trees.sklearn_booster import HistGradientBoosting
from models.trees.tree_ensemble import TreeEnsemble
from models.trees.xgboost_booster import XGBoost

__all__ = ["BoostedTrees", "Booster", "HistGradientBoosting", "LightGBM", "Objective", "TreeEnsemble", "XGBoost"]
