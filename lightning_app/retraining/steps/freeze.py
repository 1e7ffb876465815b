"""Freezing: what the cycle trains and is judged on, at one cut."""

from contextlib import closing

from lightning_app.packaging import Package
from lightning_app.retraining.cycles import Cycle
from lightning_app.retraining.frozen import BrokenContractError, FreezeError, TooFewRowsError, freeze
from lightning_app.retraining.steps.context import Context
from lightning_app.retraining.steps.outcome import Advance, Outcome, Stop
from lightning_app.retraining.steps.quarantine import quarantine_of
from lightning_app.serving.journal.stores import open_reader


def freeze_data(context: Context, cycle: Cycle) -> Outcome:
    """Freezes the rows; a set that a killed tick froze is used again.

    Args:
        context: Of the tick.
        cycle: A cycle that was triggered.
    """
    folder, champion, package = context.folder(cycle) / "frozen", cycle.spec["champion"], None
    if champion is not None:
        package = Package.load(context.registry.resolve(f"{cycle.model}@{champion}").path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(open_reader(context.policy.journal)) as reader:
            frozen = freeze(context.policy, reader=reader, cut=cycle.spec["cut"], folder=folder, package=package)
    except (BrokenContractError, TooFewRowsError) as error:
        return Stop(state="rejected", reason=str(error))
    except FreezeError as error:
        return Stop(state="failed", reason=str(error))
    if frozen.digest in quarantine_of(context.store, cycle.model).frozen:
        return Stop(state="rejected", reason="the same rows were trained on by a version that was rolled back")
    rows = {name.removesuffix(".parquet"): table.file.rows for name, table in frozen.manifest.tables.items()}
    words = ", ".join(f"{count:,} rows for {name}" for name, count in rows.items())
    return Advance(state="frozen", words=words, facts={"frozen": frozen.digest, "rows": rows})
