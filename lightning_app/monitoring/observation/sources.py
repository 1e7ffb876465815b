"""Sources of monitoring: journal, registry and packages, opened together."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from msgspec import Struct

from lightning_app.errors import UsageError
from lightning_app.monitoring.config.monitor_config import MonitorConfig, MonitoredModel
from lightning_app.monitoring.observation.observe import Observer
from lightning_app.monitoring.observation.package_facts import PackageFinder
from lightning_app.monitoring.windows.traffic import answering_models
from lightning_app.registry import Registry
from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.journal.stores import open_database, open_reader
from lightning_app.serving.journal.stores.database import JournalDatabase


class Sources(Struct, kw_only=True):
    """What reports are made from.

    Attributes:
        url: Address of the journal.
        database: Its database.
        observer: Makes reports.
        config: Configuration of monitoring.
    """

    url: str
    database: JournalDatabase
    observer: Observer
    config: MonitorConfig

    def models(self) -> Sequence[MonitoredModel]:
        """The monitored models; those that the journal has, if the configuration names none.

        Raises:
            UsageError: There are none.
            JournalError: The journal cannot be read.
        """
        if self.config.models:
            return self.config.models
        names = answering_models(self.database)
        if not names:
            raise UsageError(f"monitor: {self.database.url} has no predictions yet")
        return [MonitoredModel(model=name) for name in names]


@contextmanager
def opened_sources(config: MonitorConfig, *, folders: Callable[[], Sequence[Path]] = tuple) -> Iterator[Sources]:
    """Opens the journal and the registry.

    Args:
        config: Configuration of monitoring.
        folders: Gives the folders of packages that may have answered, beside those of the configuration.

    Raises:
        UsageError: The address of the journal is malformed, or there is none.
        JournalError: The journal cannot be reached.
    """
    url = config.journal or JournalConfig().url
    assert url is not None
    with ExitStack() as opened:
        try:
            database = opened.enter_context(closing(open_database(url, create=False)))
            reader = opened.enter_context(closing(open_reader(url)))
        except ValueError as error:
            raise UsageError(f"{error}; --journal URL names another") from error
        registry = Registry(config.registry)
        finder = PackageFinder(registry, lambda: [*folders(), *map(Path, config.packages)])
        yield Sources(
            url=url,
            database=database,
            observer=Observer(config, database=database, reader=reader, registry=registry, finder=finder),
            config=config,
        )
