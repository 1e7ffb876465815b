"""Calendar features left out of the data where they are to be chosen and the network takes none."""

import inspect
from typing import Any

from jsonargparse import Namespace, _typehints

from lightning_app.runs.run_folder import is_first_process
from models import Forecaster


def leave_calendar_out(config: Namespace) -> None:
    """Makes `data.calendar: auto` an empty list for a forecaster whose network takes no known-future covariates.

    Features that are given by name stay, and are refused by such a network.

    Args:
        config: The config of one verb, changed in place.
    """
    data, model = (_arguments(config.get(key)) for key in ("data", "model"))
    if data.get("calendar") != "auto" or not issubclass(_class(config.get("model")), Forecaster):
        return
    network = _class(model.get("network"))
    inputs = inspect.signature(network.forward).parameters if hasattr(network, "forward") else {}
    if "future_covariates" in inputs or any(item.kind is item.VAR_KEYWORD for item in inputs.values()):
        return
    config.data.init_args.calendar = []
    if is_first_process():
        named = (network if hasattr(network, "forward") else _class(config.model)).__name__
        print(f"data.calendar: auto takes none, as {named} has no future_covariates", flush=True)  # noqa: T201


def _arguments(section: Any) -> Namespace:
    found = section.get("init_args") if isinstance(section, Namespace) else None
    return found if isinstance(found, Namespace) else Namespace()


def _class(section: Any) -> Any:
    """The class that a section names; `object` where it names none."""
    path = section.get("class_path") if isinstance(section, Namespace) else None
    return object if path is None else _typehints.import_object(path)
