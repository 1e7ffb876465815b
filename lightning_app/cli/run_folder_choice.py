"""Run folder of a command: a new one, that of its checkpoint, or the one given as `--output`."""

import jsonargparse

from lightning_app.cli.checkpoint_source import CheckpointSource
from lightning_app.runs.run_folder import RunFolder, create_run_folder, output_folder, run_folder_of


def choose_run_folder(config: jsonargparse.Namespace, source: CheckpointSource, *, verb: str) -> tuple[RunFolder, bool]:
    """The folder that a command writes into, and whether it is new.

    Args:
        config: Config of the verb.
        source: The checkpoint of the command, if it names one.
        verb: The verb.
    """
    run = run_folder_of(source.path) if source.path else None
    if config.output is not None:
        return output_folder(config.output, verb=verb), True
    if run is not None and verb != "fit":
        return run, False
    # A run goes on beside the one that it continues, wherever that was copied to, unless another root is given.
    recorded = (source.previous_config() or {}).get("run", {})
    same_place = (config.run.root, config.run.name) == (recorded.get("root"), recorded.get("name"))
    beside = run.root_of(config.run.name) if run is not None and same_place else None
    return create_run_folder(beside or config.run.root, config.run.name), True
