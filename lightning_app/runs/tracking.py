"""Weights & Biases tracking: offline unless the user is logged in or asks for it, and never an interactive prompt."""

import netrc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from lightning_app.atomic_write import write_whole
from lightning_app.runs.run_folder import RunFolder, RunOptions, is_first_process

if TYPE_CHECKING:
    from lightning.pytorch.loggers import WandbLogger

# By default W&B keeps these folders in the home directory; ours belong to the run folder.
_FOLDERS = {"WANDB_DATA_DIR": "data", "WANDB_CACHE_DIR": "cache", "WANDB_CONFIG_DIR": "config"}
_set_by_us: set[str] = set()


def wandb_mode(options: RunOptions) -> str:
    """W&B mode: `online`, `offline` or `disabled`.

    The config decides unless it says `auto`; then `WANDB_MODE`; then whether an API key is available.
    """
    if options.wandb != "auto":
        return options.wandb
    return os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")


def wandb_folders(path: Path) -> dict[str, str]:
    """Environment variables that keep W&B's files in `path/wandb`, without those that the user has set."""
    free = {variable: name for variable, name in _FOLDERS.items() if variable not in os.environ}
    free |= {variable: _FOLDERS[variable] for variable in _set_by_us}
    return {variable: str((path / "wandb" / name).resolve()) for variable, name in free.items()}


def wandb_logger(folder: RunFolder, options: RunOptions, config: dict[str, Any], job: str) -> "WandbLogger | None":
    """Creates a W&B logger whose files are all in the run folder.

    Args:
        folder: Run folder; its name is the id of the W&B run, so that a later test adds to the same run. All run
            folders of one sweep trial share the id of the first.
        options: Mode, project, entity and tags.
        config: Resolved config, nested.
        job: Job type, i.e. the verb.

    Returns:
        The logger, or None if W&B is disabled.
    """
    mode = wandb_mode(options)
    if mode == "disabled":
        return None
    if is_first_process():
        variables = wandb_folders(folder.path)
        os.environ.update(variables)
        _set_by_us.update(variables)
        (folder.path / "wandb").mkdir(parents=True, exist_ok=True)
        if job == "trial" and not _id_file(folder).exists():
            write_whole(_id_file(folder), f"{folder.path.parent.name}-{folder.path.name}")
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    logger = WandbLogger(
        save_dir=str(folder.path),
        project=options.project,
        entity=options.entity,
        name=f"{folder.path.parent.name}/{folder.path.name}",
        id=_run_id(folder),
        tags=options.tags,
        job_type=job,
        config=config,
        resume="allow" if mode == "online" else None,
        mode=mode,
        settings=wandb.Settings(silent=True, console="off"),
    )
    logger._wandb_init.pop("anonymous", None)  # Lightning passes a setting that W&B warns about at each start
    return logger


def finish_wandb(*, exit_code: int) -> None:
    """Ends the current W&B run, if there is one.

    Args:
        exit_code: 0 marks the run as finished, any other code as failed.
    """
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=exit_code)


def _id_file(folder: RunFolder) -> Path:
    return folder.path.parent / "wandb_run.id"


def _run_id(folder: RunFolder) -> str:
    file = _id_file(folder)
    return file.read_text() if file.exists() else f"{folder.path.parent.name}-{folder.path.name}"


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
