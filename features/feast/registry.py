"""Registry of a Feast repository, as the protocol buffers that Feast keeps; no pickled code in it is loaded."""

import warnings
from pathlib import Path
from typing import Any


def read_registry(repo: str | Path) -> Any:
    """Reads what `feast apply` has written.

    Args:
        repo: Folder with `feature_store.yaml`.

    Returns:
        `feast.protos.feast.core.Registry_pb2.Registry`.

    Raises:
        FileNotFoundError: There is no repository.
        ValueError: Feast is not installed, cannot read the repository, or nothing was applied to it.
    """
    folder = Path(repo).expanduser()
    if not (folder / "feature_store.yaml").is_file():
        raise FileNotFoundError(f"{folder} is no Feast repository: it has no feature_store.yaml")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from feast import FeatureStore
    except ModuleNotFoundError as error:
        raise ValueError(f"{folder} is read through Feast ({error}): pip install 'lightning-r2p[feast]'") from error
    try:
        # The protocol buffers, not `list_...`: these unpickle the functions of views.
        registry = FeatureStore(repo_path=str(folder)).registry.proto()
    except Exception as error:
        raise ValueError(f"{folder}: Feast cannot read it: {type(error).__name__}: {error}") from error
    if not registry.feature_views:
        raise ValueError(f"{folder}: its registry holds no feature view with a batch source; run `feast apply` there")
    return registry
