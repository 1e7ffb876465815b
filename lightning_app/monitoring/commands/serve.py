"""Monitor command: `lightning-app monitor serve` shows reports over HTTP, always up to date, beside any server."""

import argparse
import signal
import tempfile
from pathlib import Path

from msgspec.structs import replace

from features.definitions.duration import seconds
from lightning_app.errors import UsageError
from lightning_app.monitoring.commands.monitor_options import add_source, config_of, with_lengths
from lightning_app.monitoring.config.monitor_config import MonitorConfig
from lightning_app.serving.config.serve_config import JournalConfig, ServeConfig
from lightning_app.serving.journal.errors import without_password
from lightning_app.verb_parser import VerbParser

_PORT = 8010


def run(args: list[str]) -> None:
    """Runs the sub-command until SIGTERM or Ctrl-C; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: An option is wrong, or the address cannot be used.
    """
    arguments = _parser(args[0]).parse_args(args[1:])
    config = _config(arguments)
    if not 0 <= arguments.port < 2**16:
        raise UsageError(f"--port: {arguments.port} given, a number from 0 to 65535 is needed")
    server = ServeConfig(
        models=[], host=arguments.host, port=arguments.port, keys=arguments.keys, insecure=arguments.insecure,
        tls_cert=arguments.tls_cert, tls_key=arguments.tls_key,
    )  # fmt: skip
    _serve(config, server)


def _parser(verb: str) -> VerbParser:
    parser = VerbParser(
        verb, description=__doc__, epilog="Pages: /, /models/NAME; also /report.json, /metrics, /healthz."
    )
    add_source(parser)
    parser.add_argument("--refresh", metavar="DURATION", help="how often reports are made; default: 5m")
    server = parser.add_argument_group("server")
    server.add_argument("--host", default="127.0.0.1", help="address that is listened on; default: 127.0.0.1")
    server.add_argument("--port", type=int, default=_PORT, help=f"default: {_PORT}; 0 takes a free one")
    server.add_argument("--keys", metavar="FILE", help="API keys, see `lightning-app keys`; they need the scope admin")
    server.add_argument("--insecure", action="store_true", help="show everything to everyone without a key")
    server.add_argument("--tls-cert", metavar="FILE", help="certificate, with those that signed it")
    server.add_argument("--tls-key", metavar="FILE", help="its private key")
    return parser


def _config(arguments: argparse.Namespace) -> MonitorConfig:
    config = config_of(arguments)
    if any(getattr(arguments, name) is not None for name in ("window", "every", "history")) and not config.models:
        raise UsageError("--model: none given; --window, --every and --history need the models that they are for")
    config = replace(config, models=with_lengths(config.models, arguments))
    if arguments.refresh is not None:
        try:
            seconds(arguments.refresh)
        except ValueError as error:
            raise UsageError(f"--refresh: {error}") from error
        config = replace(config, refresh=arguments.refresh)
    return replace(config, journal=config.journal or JournalConfig().url)


def _serve(config: MonitorConfig, server: ServeConfig) -> None:
    import uvicorn

    from lightning_app.monitoring.observation.monitoring_loop import MonitoringLoop
    from lightning_app.monitoring.page.server.app import monitor_app
    from lightning_app.monitoring.page.server.live_reports import LiveReports
    from lightning_app.serving.observability.logs import configure_logs
    from lightning_app.serving.security.access import Access
    from lightning_app.serving.security.bounded_protocol import bounded_protocol
    from lightning_app.serving.security.exposure import check_exposure, tls_context
    from lightning_app.serving.supervisor.listening import listen

    check_exposure(server)
    listening = listen(server.host, server.port)
    live = LiveReports(config, MonitoringLoop(config))
    with tempfile.TemporaryDirectory(prefix="lightning-app-monitor-") as folder, listening:
        access = Access.open(server.keys, Path(folder) / "key_counters")
        logs = configure_logs(level="info", process="monitor")

        async def reload_keys() -> None:
            access.reload_if_changed()

        running = uvicorn.Server(
            uvicorn.Config(
                monitor_app(live, access),
                http=bounded_protocol(server.limits),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=5,
                callback_notify=reload_keys,
                timeout_notify=1,
                ssl_context_factory=None if server.tls_cert is None else lambda *_: tls_context(server),
            )
        )
        live.start()
        host, port = listening.getsockname()[:2]
        print(_announcement(config, server, str(host), int(port)), flush=True)  # noqa: T201
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn ends on these, then raises them again
            signal.signal(number, signal.SIG_IGN)
        try:
            running.run(sockets=[listening])
        finally:
            live.stop()
            logs.close()


def _announcement(config: MonitorConfig, server: ServeConfig, host: str, port: int) -> str:
    """One line on what is shown where, and what its user has to know."""
    from lightning_app.serving.security.exposure import exposure_note

    scheme = "http" if server.tls_cert is None else "https"
    address = f"[{host}]" if ":" in host else host
    models = ", ".join(model.model for model in config.models) or "all models of the journal"
    journal = without_password(config.journal or "")
    parts = [f"monitoring on {scheme}://{address}:{port}", models, f"journal {journal}", f"every {config.refresh}"]
    if (note := exposure_note(server)) is not None:
        parts.append(note)
    return "; ".join(parts)
