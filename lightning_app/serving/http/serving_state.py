"""Serving state: everything that the routes of a worker share."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_app.serving.config.control_channel import RegistryState
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.inference.hang_record import HangRecord
from lightning_app.serving.inference.sessions import SessionStore
from lightning_app.serving.journal.writer import JournalWriter
from lightning_app.serving.observability.metrics import Metrics
from lightning_app.serving.routing.arm_counter import ArmCounter
from lightning_app.serving.routing.chaos import Chaos
from lightning_app.serving.routing.served_model import ServedModel
from lightning_app.serving.security.access import Access

if TYPE_CHECKING:
    from lightning_app.serving.observability.span_export import SpanExport


@dataclass
class ServingState:
    """State of a worker.

    Attributes:
        config: Configuration of the server.
        models: Served models by name; `/predict` asks the first.
        metrics: Metrics of the worker.
        access: Who may do what.
        chaos: Faults that are injected on purpose; None injects none.
        journal: Where answers are written before they are sent; None without a journal.
        executor: Thread for what would hold up the event loop.
        sessions: State of streams by session.
        hangs: Versions of which a call has hung, in any worker.
        spans: Export of traces; None without.
        registry: What is known of the registry; None if no model is from one.
        grpc_address: Where gRPC is answered; None without.
        arm_counter: Counts of the arms of experiments.
        monitoring: Folder that the monitoring process writes into; None if nothing is monitored.
        is_draining: Whether the worker is about to stop.
    """

    config: ServeConfig
    models: Mapping[str, ServedModel]
    metrics: Metrics
    access: Access
    executor: Executor
    sessions: SessionStore
    hangs: HangRecord
    chaos: Chaos | None = None
    journal: JournalWriter | None = None
    spans: "SpanExport | None" = None
    registry: RegistryState | None = None
    grpc_address: str | None = None
    arm_counter: ArmCounter = field(default_factory=ArmCounter)
    monitoring: Path | None = None
    is_draining: bool = False

    @property
    def first(self) -> ServedModel:
        """The model that `/predict` asks."""
        return next(iter(self.models.values()))

    @property
    def is_ready(self) -> bool:
        """Whether every model can answer, what it answers can be journalled, and the worker goes on."""
        return (
            not self.is_draining and not self.lacks_journal and all(model.is_loaded for model in self.models.values())
        )

    @property
    def lacks_journal(self) -> bool:
        """Whether nothing can be answered because the journal is down."""
        return (
            self.journal is not None
            and self.config.journal.on_failure == "fail"
            and self.journal.health().state == "down"
        )
