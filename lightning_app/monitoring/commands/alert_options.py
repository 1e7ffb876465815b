"""Options of the commands about alerts: the journal, by its address or by monitor.yaml."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from lightning_app.monitoring.alerts.rules import check_alerts
from lightning_app.monitoring.config.monitor_config import MonitorConfig, read_monitor_config
from lightning_app.serving.config.serve_config import JournalConfig
from lightning_app.serving.experiments.commands.options import opened
from lightning_app.serving.journal.stores.database import JournalDatabase


class Opened(NamedTuple):
    """What a command works on.

    Attributes:
        database: Database of the journal.
        config: The configuration; None if only the journal was named.
    """

    database: JournalDatabase
    config: MonitorConfig | None


def add_source(parser: argparse.ArgumentParser) -> None:
    """Adds the options `--config` and `--journal`.

    Args:
        parser: The parser.
    """
    parser.add_argument("--config", metavar="FILE", default=None, help="monitor.yaml; its journal, rules and sinks")
    text = "sqlite:///FILE or postgresql://USER@HOST/DATABASE; default: that of --config, or sqlite:///journal.db"
    parser.add_argument("--journal", metavar="URL", default=None, help=text)


@contextmanager
def opened_source(arguments: argparse.Namespace) -> Iterator[Opened]:
    """Opens the journal that the options name.

    Args:
        arguments: Parsed options.

    Raises:
        UsageError: The configuration is invalid, or there is no such journal.
    """
    config = None if arguments.config is None else read_monitor_config(arguments.config)
    if config is not None:
        check_alerts(config.alerts, config.sinks)
    url: str | None = arguments.journal or (config.journal if config is not None else None) or JournalConfig().url
    assert url is not None, "the configuration of a server has a default"
    with opened(url) as database:
        yield Opened(database, config)
