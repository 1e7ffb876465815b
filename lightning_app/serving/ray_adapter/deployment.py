"""Ray Serve deployment: `serve run lightning_app.serving.ray_adapter.deployment:build config=/etc/serve.yaml`.

Every replica answers as a worker of `lightning-app serve` does: the same routes, API keys, batches, metrics,
journal. Ray Serve listens, starts replicas and replaces those that die. Needs `pip install 'lightning-r2p[ray-serve]'`.
"""

from typing import Any

import msgspec
from ray import get_runtime_context, serve
from ray.serve import Application

from lightning_app.errors import UsageError
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.http.app import ServingApp
from lightning_app.serving.ray_adapter.ray_config import read_ray_config
from lightning_app.serving.ray_adapter.replica import Replica

_ONGOING = 256
"""Requests of a replica at the same time; Ray's default of 5 leaves nothing to batch."""


@serve.deployment(name="lightning-app", max_ongoing_requests=_ONGOING, graceful_shutdown_timeout_s=35.0)
@serve.ingress()
class LightningApp:
    """One replica.

    Args:
        config: A ServeConfig in plain data.
    """

    async def __init__(self, config: dict[str, Any]) -> None:  # type: ignore[misc]  # Ray Serve awaits it
        context = serve.get_replica_context()
        node = f"{get_runtime_context().get_node_id()[:16]}-{context.app_name}"
        self._replica = await Replica.open(
            msgspec.convert(config, ServeConfig), node=node, process=f"replica {context.replica_id.unique_id}"
        )

    def __serve_build_asgi_app__(self) -> ServingApp:
        """The application that Ray Serve sends requests to."""
        return self._replica.app

    async def __del__(self) -> None:
        """Closes the journal once what was being answered is answered; Ray Serve awaits it."""
        if (replica := getattr(self, "_replica", None)) is not None:
            await replica.close()


def build(arguments: dict[str, str]) -> Application:
    """Application of a configuration.

    Args:
        arguments: `config`, the YAML file of a server; it is read where the application is built.

    Raises:
        UsageError: The file is missing or invalid, or says what only a server of its own can do.
    """
    if set(arguments) != {"config"}:
        raise UsageError(f"arguments: {', '.join(sorted(arguments)) or 'none'} given; config=FILE is needed")
    config = read_ray_config(arguments["config"])
    return LightningApp.bind(msgspec.to_builtins(config))  # type: ignore[attr-defined]  # Ray Serve's types are lost
