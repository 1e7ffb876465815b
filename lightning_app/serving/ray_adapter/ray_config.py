"""Configuration under Ray Serve: that of a server, without what Ray's proxy and controller decide."""

from pathlib import Path

import msgspec

from lightning_app.errors import UsageError
from lightning_app.serving.config.journal_password import with_password
from lightning_app.serving.config.serve_config import Limits, ServeConfig, read_config

_OF_SERVER = {
    "host": "http_options.host of Ray Serve",
    "port": "http_options.port of Ray Serve",
    "grpc_port": "the Open Inference Protocol over HTTP, or a server of its own",
    "workers": "num_replicas or autoscaling_config of the deployment",
    "tls_cert": "a proxy in front of Ray Serve that speaks TLS",
    "tls_key": "a proxy in front of Ray Serve that speaks TLS",
}
_OF_LIMITS = {
    "body_seconds": "http_options.request_timeout_s of Ray Serve",
    "header_bytes": "a proxy in front of Ray Serve",
    "connections": "max_ongoing_requests and max_queued_requests of the deployment",
    "drain_seconds": "graceful_shutdown_timeout_s of the deployment",
}


def read_ray_config(path: str | Path) -> ServeConfig:
    """Reads the file of a server that is to run under Ray Serve.

    Args:
        path: YAML file, as of `lightning-app serve --config`.

    Raises:
        UsageError: The file is invalid, or says what only a server of its own can do; names the key, and what does it
            instead.
    """
    config = read_config(path)
    defaults, limits = ServeConfig(models=config.models), Limits()
    for name, instead in _OF_SERVER.items():
        if getattr(config, name) != getattr(defaults, name):
            raise UsageError(f"{name}: {getattr(config, name)} given, which Ray Serve does not read; use {instead}")
    for name, instead in _OF_LIMITS.items():
        if getattr(config.limits, name) != getattr(limits, name):
            raise UsageError(
                f"limits.{name}: {getattr(config.limits, name)} given, which Ray Serve does not read; use {instead}"
            )
    if config.keys is None and not config.insecure:
        raise UsageError(
            "keys: none given, and Ray's proxy may listen on any address; give a key file, or insecure: true"
        )
    if config.keys is not None and config.insecure:
        raise UsageError("insecure: given together with keys; leave one of them out")
    if config.chaos is not None:
        raise UsageError("chaos: faults are injected on loopback only, and Ray's proxy may listen anywhere")
    for model in config.models:
        for key in ("experiment", "canary"):
            if getattr(model, key) is not None:
                raise UsageError(
                    f"{key} of {model.model}: decided by a process of `lightning-app serve`, which Ray Serve does not "
                    "start; split the traffic with a server of its own"
                )
    _check_paths(config)
    return msgspec.structs.replace(config, journal=with_password(config.journal))


def _check_paths(config: ServeConfig) -> None:
    """Raises for relative paths: replicas run in folders that Ray chooses."""
    journal = config.journal
    paths = [(f"models: {model.model}", model.model) for model in config.models if "/" in model.model]
    paths += [(f"tables of {model.model}", path) for model in config.models for path in model.tables.values()]
    paths += [("trusted_keys", path) for path in config.trusted_keys]
    if config.keys is not None:
        paths.append(("keys", config.keys))
    if journal.url is not None and journal.url.startswith("sqlite:"):
        paths.append(("journal.url", journal.url.removeprefix("sqlite:///")))
    if journal.password_file is not None:
        paths.append(("journal.password_file", journal.password_file))
    if journal.on_failure == "spill":
        paths.append(("journal.spill", journal.spill or "journal-spill"))
    for key, path in paths:
        if not Path(path).is_absolute():
            raise UsageError(f"{key}: {path} is relative, and Ray chooses the folder of a replica; give it from / on")
