"""Serve command: `lightning-app serve` answers requests with packages and registered models over HTTP."""

import argparse
import logging
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from lightning_app.errors import UsageError
from lightning_app.serving.config.journal_password import with_password
from lightning_app.serving.config.resilience_config import read_chaos
from lightning_app.serving.config.serve_config import (
    JournalConfig,
    ModelConfig,
    ServeConfig,
    check_experiments,
    read_config,
)
from lightning_app.verb_parser import VerbParser

_NEEDED = ("starlette", "uvicorn", "uvloop", "httptools", "prometheus_client", "onnxruntime", "pyarrow")
_NEEDED_BY_GRPC = ("grpc", "google.protobuf")
_NEEDED_BY_MONITOR = ("scipy", "sklearn")
_OF_MODEL = ("name", "store", "namespace", "entity", "batching", "deadline_ms", "cache", "digits")
_OF_SERVER = (
    "host", "port", "grpc_port", "workers", "registry", "poll_seconds", "keys", "tls_cert", "tls_key", "trusted_keys",
    "log_level", "otlp_endpoint", "monitor",
)  # fmt: skip


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        SystemExit: The server has ended.
        UsageError: Something given is wrong; names it, and what is allowed.
    """
    arguments = _parser().parse_args(args[1:])
    config = _config(arguments)
    _check(config)
    import asyncio

    from lightning_app.serving.observability.logs import configure_logs
    from lightning_app.serving.supervisor.listening import listen_on
    from lightning_app.serving.supervisor.supervisor import Supervisor

    check: bool = arguments.check
    if check:
        grpc_port = None if config.grpc_port is None else 0
        config = msgspec.structs.replace(config, workers=1, port=0, grpc_port=grpc_port)
    listeners = listen_on(config)

    def read_again() -> ServeConfig:
        again = _config(arguments)
        _check(again)
        return again

    async def serve() -> int:
        supervisor = Supervisor(config=config, read_config=read_again, listeners=listeners)
        return await supervisor.run(check=check)

    logs = configure_logs(level=config.log_level, process="supervisor")
    try:
        code = asyncio.run(serve())
    finally:
        listeners.close()
        logs.close()
        logging.getLogger().removeHandler(logs)
        logging.captureWarnings(False)
    if code:
        raise SystemExit(code)


def _parser() -> VerbParser:
    parser = VerbParser(
        "serve",
        description=__doc__,
        epilog="SIGTERM ends the server once what it is answering is answered; SIGHUP makes it read keys, models and "
        "config again. docs/serving.md describes bodies, answers and every key of a config file.",
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="NAME@champion, NAME@3, NAME, or a package's folder")
    parser.add_argument("-c", "--config", metavar="FILE", help="YAML file instead; options override what it says")
    parser.add_argument("--check", action="store_true", help="load and verify every model, say what they are, and stop")
    server = parser.add_argument_group("server")
    server.add_argument("--host", help="address that is listened on; default: 127.0.0.1")
    server.add_argument("--port", type=int, help="port; default: 8000; 0 takes a free one")
    server.add_argument("--grpc-port", type=int, help="port of gRPC, see the extra serve-grpc; default: none")
    server.add_argument("--workers", type=int, help="worker processes; default: one per core")
    server.add_argument("--registry", metavar="URL", help="where names are registered; default: $MLFLOW_TRACKING_URI")
    server.add_argument("--poll-seconds", type=float, metavar="S", help="how often aliases are asked; default: 10")
    server.add_argument("--journal", metavar="URL", help="sqlite:///FILE, postgresql://..., none; default: journal.db")
    server.add_argument("--keys", metavar="FILE", help="API keys, see `lightning-app keys`")
    server.add_argument("--insecure", action="store_true", help="answer everyone from everywhere without a key")
    server.add_argument("--tls-cert", metavar="FILE", help="certificate, with those that signed it")
    server.add_argument("--tls-key", metavar="FILE", help="its private key")
    server.add_argument(
        "--trusted-key", action="append", dest="trusted_keys", metavar="FILE", help="packages have to be signed by it"
    )
    server.add_argument("--log-level", help="info, or debug, which logs every request")
    server.add_argument(
        "--monitor", metavar="FILE", help="watch what is served, as this file says; see docs/monitoring.md"
    )
    server.add_argument("--chaos", metavar="FILE", help="faults that are injected on purpose; on loopback only")
    server.add_argument("--otlp-endpoint", metavar="URL", help="where OpenTelemetry traces go")
    model = parser.add_argument_group("models", "For all MODELs; in a config file, each has its own.")
    model.add_argument("--name", help="name in addresses, of a single MODEL")
    model.add_argument("--store", metavar="URL", help="online store with the history of entities")
    model.add_argument("--namespace", help="project in the store")
    model.add_argument("--entity", metavar="COLUMN", help="column that is journalled as the key of the entity")
    model.add_argument("--batching", help="auto measures what is best, off answers each request by itself")
    model.add_argument("--deadline-ms", type=float, metavar="MS", help="longest time to an answer; default: 10000")
    model.add_argument("--cache", type=int, metavar="ENTRIES", help="answers kept for the same content; default: 0")
    model.add_argument("--digits", type=int, help="significant digits of numbers in answers; default: all")
    return parser


def _config(arguments: argparse.Namespace) -> ServeConfig:
    """Configuration of a command line."""
    of_model = {name: getattr(arguments, name) for name in _OF_MODEL if getattr(arguments, name) is not None}
    of_server = {name: getattr(arguments, name) for name in _OF_SERVER if getattr(arguments, name) is not None}
    if arguments.insecure:
        of_server["insecure"] = True
    if arguments.config is not None:
        if arguments.models:
            raise UsageError(
                f"models: {arguments.models[0]} given with --config, which lists its own; leave one of them out"
            )
        if of_model:
            option = next(iter(of_model)).replace("_", "-")
            raise UsageError(f"--{option}: given with --config, where each model has its own; write it there")
        config = read_config(arguments.config)
    elif not arguments.models:
        raise UsageError("models: none given; give NAME@champion, the folder of a package, or --config FILE")
    else:
        if "name" in of_model and len(arguments.models) > 1:
            raise UsageError(
                f"--name: {of_model['name']!r} given for {len(arguments.models)} models; use a config file"
            )
        config = ServeConfig(models=[ModelConfig(model=model) for model in arguments.models])
    if arguments.chaos is not None:
        config = msgspec.structs.replace(config, chaos=read_chaos(arguments.chaos))
    models = [_replaced(ModelConfig, model, of_model) for model in config.models]
    if arguments.journal is not None:
        url = None if arguments.journal == "none" else arguments.journal
        of_server["journal"] = _replaced(JournalConfig, config.journal, {"url": url})
    config = _replaced(ServeConfig, config, {**of_server, "models": models})
    return msgspec.structs.replace(config, journal=with_password(config.journal))


def _replaced(struct: type[Any], config: Any, changes: dict[str, Any]) -> Any:
    """A checked copy of a part of the configuration with other values."""
    for name, value in changes.items():
        try:
            msgspec.convert(value, get_type_hints(struct, include_extras=True)[name], from_attributes=False)
        except msgspec.ValidationError as error:
            raise UsageError(f"--{name.replace('_', '-')}: {value!r} given; {_first_lower(str(error))}") from error
    return msgspec.structs.replace(config, **changes)


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _check(config: ServeConfig) -> None:
    """Raises for what is found out before anything is started."""
    if missing := [module for module in _NEEDED if find_spec(module) is None]:
        raise UsageError(f"serve: needs {', '.join(missing)}: pip install 'lightning-r2p[serve]'")
    if config.grpc_port is not None and (missing := [each for each in _NEEDED_BY_GRPC if not _is_installed(each)]):
        raise UsageError(f"grpc_port: needs {', '.join(missing)}: pip install 'lightning-r2p[serve-grpc]'")
    from lightning_app.serving.security.exposure import check_exposure

    check_exposure(config)
    check_experiments(config)
    _check_monitor(config)
    _check_files("trusted_keys", config.trusted_keys)
    if config.otlp_endpoint is not None:
        from lightning_app.serving.observability.otlp_endpoint import traces_address

        traces_address(config.otlp_endpoint)
    for model in config.models:
        if model.namespace is not None and model.store is None:
            raise UsageError(f"namespace: {model.namespace!r} given without a store, whose project it names")
        _check_files(f"tables of {model.model}", model.tables.values())


def _check_monitor(config: ServeConfig) -> None:
    """Raises unless monitoring can read its file; it lies above serving, and runs in a process of its own."""
    if config.monitor is None:
        return
    if config.journal.url is None:
        raise UsageError("monitor: needs a journal, which it reads")
    if missing := [module for module in _NEEDED_BY_MONITOR if not _is_installed(module)]:
        raise UsageError(f"monitor: needs {', '.join(missing)}: pip install 'lightning-r2p[monitor]'")
    import_module("lightning_app.monitoring.config.monitor_config").read_monitor_config(config.monitor)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is its package
        return False


def _check_files(option: str, paths: Iterable[str]) -> None:
    for path in paths:
        try:
            Path(path).open("rb").close()
        except OSError as error:
            raise UsageError(f"{option}: {path} cannot be read: {error.strerror}") from error
