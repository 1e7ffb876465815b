"""Quiet libraries: filters for messages of Lightning that say nothing to a user of the command line."""

import logging
import warnings


def quiet() -> None:
    """Leaves out what Lightning says about hardware that is absent and products that are not used."""
    for name in ("utilities.rank_zero", "trainer.connectors.checkpoint_connector"):
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*smaller than the logging interval.*",
        ".*configure_optimizers` returned `None`.*",
        ".*isinstance.treespec, LeafSpec.* is deprecated.*",
        ".*returned `None`. If this was on purpose.*",
        ".*custom batch sampler `(Eval|Lane|Sorted)Batches` for prediction.*",
        ".*Checkpoint directory .* exists and is not empty.*",
    ):
        warnings.filterwarnings("ignore", message)
