"""Package folder: the folder of a package that a command names, by path or from the registry."""

from pathlib import Path


def package_folder(reference: str, registry: str | None) -> Path:
    """The folder of a package.

    Args:
        reference: Folder, or NAME@champion, NAME@3, NAME.
        registry: Where NAME is registered; None for `$MLFLOW_TRACKING_URI`.
    """
    if Path(reference).is_dir():
        return Path(reference)
    from lightning_app.registry import Registry

    return Registry(registry).resolve(reference).path
