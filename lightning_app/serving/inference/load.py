"""Loading of served models: verified, checked against its digest, measured, before it answers anyone."""

from collections.abc import Callable

from lightning_app.errors import UsageError
from lightning_app.packaging.format.errors import PackageError, RequestError
from lightning_app.packaging.format.strict_json import read_json
from lightning_app.packaging.runtime.contents import GOLDEN, PackageContents
from lightning_app.packaging.runtime.package import Package
from lightning_app.serving.config.arm_references import FALLBACK
from lightning_app.serving.config.control_channel import ResolvedModel
from lightning_app.serving.config.serve_config import ModelConfig
from lightning_app.serving.inference.calibration import BatchPlan, plan_batches
from lightning_app.serving.inference.joined_store import with_guarded_store
from lightning_app.serving.inference.loaded_model import LoadedModel


def load_model(
    resolved: ResolvedModel, config: ModelConfig, *, store_fault: Callable[[], None] | None = None
) -> tuple[LoadedModel, BatchPlan]:
    """Loads a version, replays its golden request, and measures it.

    Args:
        resolved: The version.
        config: Configuration of the model.
        store_fault: Called before each read of the online store, for faults that are injected.

    Raises:
        PackageError: The folder holds another package, or one that fails its verification.
        UsageError: The package cannot be joined to the store or the tables of the configuration.
    """
    contents = PackageContents.read(resolved.path)
    if contents.digest != resolved.digest:
        raise PackageError(f"package: {resolved.path} was replaced: digest {contents.digest}, {resolved.digest} needed")
    package = Package.of(contents)
    plan = _plan(package, contents, config)
    is_fallback = resolved.arm.startswith(FALLBACK)  # which may be simpler: it need not read tables or a store
    raw_input = package.predictor.raw_input
    if config.tables and not (is_fallback and (raw_input is None or not raw_input.further)):
        from lightning_app.packaging.runtime.requests.further_tables import further_tables

        further = {} if raw_input is None else raw_input.further
        package = package.with_tables(further_tables(config.tables, further))
    stand_in = None
    if config.store is not None:
        try:
            package, stand_in = with_guarded_store(package, config, fault=store_fault)
        except RequestError:
            if not is_fallback:
                raise
    elif config.namespace is not None:
        raise UsageError(f"namespace: {config.namespace!r} given without a store, whose project it names")
    return LoadedModel(package, name=resolved.name, version=resolved.version, without_store=stand_in), plan


def _plan(package: Package, contents: PackageContents, config: ModelConfig) -> BatchPlan:
    """The plan, measured on the first row of the golden request."""
    golden = read_json(contents.files[GOLDEN], name=GOLDEN)
    predictor = package.predictor
    row = {name: value[:1] for name, value in predictor.read(golden["request"]).values.items()}
    raw_input = predictor.raw_input
    largest = None if raw_input is None else raw_input.largest_row(row)
    return plan_batches(lambda values: predictor.run(values, None), row, config.batching, largest=largest)
