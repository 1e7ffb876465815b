"""Moved modules and renamed classes: former import paths in old configs, run folders and packages keep loading."""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

_MOVED: Mapping[str, Mapping[str, str]] = {
    "lightning_app": {
        "runs": "offline_runs",
        "cli": "trained_run",
    },
    "lightning_app.evaluation": {
        "trajectories": (
            "classical conformal fan_chart levels paths probabilistic quantile_function rolling_forecasts "
            "rolling_paths summary trajectory_report units walk_forward=rolling_origin"
        ),
    },
    "models": {
        "forecasting": "forecaster ensemble distilled_forecaster quantile_levels",
    },
    "models.graph": {
        "encoders": "encoder appnp classic gat gcn gcnii gin hetero node_mlp sage adjacency sparse_matrix whole_graph",
        "export": "onnx_export random_inputs",
    },
    "models.tabular": {
        "models.tasks": "task classification regression",
    },
    "datamodules": {
        "forecasting": "published series table_file windows",
        "features.series": "calendar regularize repairs",
        "streams": "lanes panel panel_source panel_stream text_source text_stream",
        "puzzles": "recall sudoku sudoku_generator",
    },
    "datamodules.forecasting": {
        "features.series": "calendar regularize repairs",
    },
    "datamodules.graph": {
        "sources": (
            "source bundled planetoid published_npz tudataset graph_table hetero_table table_columns node_names "
            "features flat_graphs graph_check"
        ),
        "splits": "node_split link_split graph_split published_split hard_negatives non_edges",
        "sampling": (
            "neighbor_sampler typed_sampler keyed_sampler walk_sampler neighbor_walk neighbor_columns sampled_nodes "
            "link_seeds neighborhoods link_batches whole_graph"
        ),
    },
}
"""Package -> subfolder, or another package with a dot in its path -> names of the modules that moved into it."""

_RENAMED: Mapping[str, str] = {
    "GraphShareSplit": "datamodules.graph.RandomGraphSplit",
    "LinkShares": "datamodules.graph.RandomLinkSplit",
    "ShareSplit": "datamodules.graph.RandomNodeSplit",
}
"""Former class name -> present import path; the class's module keeps the former name as an alias."""


def current_class_path(path: str) -> str:
    """Replaces the former name of a renamed class of ours by its present import path.

    Args:
        path: Import path, e.g. `datamodules.graph.ShareSplit`, or a class name alone.

    Returns:
        The present import path; `path` unchanged if it names no renamed class.
    """
    package, _, name = path.rpartition(".")
    present = _RENAMED.get(name, path)
    return present if not package or package.split(".")[0] == present.split(".")[0] else path


def moved_spec(name: str) -> ModuleSpec | None:
    """Finds the spec of a moved module; importing it loads the module from its present location.

    Args:
        name: Former import path of a module, e.g. `models.forecaster`.

    Returns:
        The spec, or None if no module of that name has moved.
    """
    package, _, module = name.rpartition(".")
    for folder, modules in _MOVED.get(package, {}).items():
        for old, _, new in (word.partition("=") for word in modules.split()):
            if module == old:
                place = folder if "." in folder else f"{package}.{folder}"
                return ModuleSpec(name, _MovedModule(f"{place}.{new or old}"))
    return None


class _MovedModule(Loader):
    """Loader that returns the module at the new path, so that both paths give the same class objects."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        module = import_module(self.name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has replaced it with the spec of the former name
        sys.modules[self.name] = module
