"""Joined store: a package with the online store of its configuration, and what stands in while that is down."""

from collections.abc import Callable

from lightning_app.errors import UsageError
from lightning_app.packaging.format.errors import RequestError
from lightning_app.packaging.runtime.package import Package
from lightning_app.serving.config.serve_config import ModelConfig

_DEADLINE_SHARE, _MOST_SECONDS = 0.25, 1.0


def with_guarded_store(
    package: Package, config: ModelConfig, *, fault: Callable[[], None] | None = None
) -> tuple[Package, Package | None]:
    """Joins a package to its store.

    Args:
        package: The package.
        config: Configuration of the model, with a store.
        fault: Called before each read, for faults that are injected.

    Returns:
        package: The package, for rows with the keys of entities.
        without_store: The same with the default of each feature; None unless `store_down` is `defaults`.

    Raises:
        UsageError: A feature has no default, though `store_down` is `defaults`.
        RequestError: The package reads no features from a store.
        StoreError: The store cannot be reached, and `store_down` is `refuse`.
    """
    from features.store import DefaultStore, without_default
    from lightning_app.packaging.runtime.raw_kinds.features_input import FeaturesInput
    from lightning_app.serving.inference.guarded_store import GuardedStore

    assert config.store is not None
    raw, namespace = package.predictor.raw_input, config.namespace or "default"
    missing: list[str] = []
    if config.store_down == "defaults" and isinstance(raw, FeaturesInput):
        missing = without_default(raw.pipeline.definitions, raw.pipeline.features)
    if missing:
        raise UsageError(
            f"store_down: defaults given, but {', '.join(missing[:20])} {'has' if len(missing) == 1 else 'have'} no "
            "default in the definitions; give each a default, or refuse or fall back"
        )
    if config.store_timeout_ms is None:
        timeout = min(_MOST_SECONDS, _DEADLINE_SHARE * config.deadline_ms / 1000)
    else:
        timeout = config.store_timeout_ms / 1000
    store = GuardedStore(
        config.store, namespace=namespace, timeout=timeout, may_be_down=config.store_down != "refuse", fault=fault
    )
    try:
        joined = package.with_store(store, namespace=namespace)
    except RequestError:
        store.close()
        raise
    if config.store_down != "defaults" or not isinstance(raw, FeaturesInput):
        return joined, None
    defaults = DefaultStore(raw.pipeline.definitions, store.mark, url=store.url)
    return joined, package.with_store(defaults, namespace=namespace)
