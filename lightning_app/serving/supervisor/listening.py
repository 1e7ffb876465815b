"""Listening sockets, bound before anything is loaded, and inherited by the workers."""

import errno
import socket
from dataclasses import dataclass

from lightning_app.errors import UsageError
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.config.socket_address import host_and_port

_BACKLOG = 2048
"""Connections that wait while workers start or are busy."""


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Sockets of a server.

    Attributes:
        http: Of HTTP.
        grpc: Of gRPC; None without.
    """

    http: socket.socket
    grpc: socket.socket | None

    @property
    def all(self) -> list[socket.socket]:
        """Those that there are."""
        return [self.http] if self.grpc is None else [self.http, self.grpc]

    def close(self) -> None:
        """Closes them."""
        for listener in self.all:
            listener.close()


def listen_on(config: ServeConfig) -> Listeners:
    """Binds the addresses of a server.

    Args:
        config: Configuration.

    Raises:
        UsageError: A port is in use or reserved, or the host is none of this machine.
    """
    http = listen(config.host, config.port)
    try:
        grpc = None if config.grpc_port is None else listen(config.host, config.grpc_port, option="grpc-port")
    except UsageError:
        http.close()
        raise
    return Listeners(http=http, grpc=grpc)


def listen(host: str, port: int, *, option: str = "port") -> socket.socket:
    """Binds an address.

    Args:
        host: Name or address of this machine.
        port: Port; 0 takes a free one.
        option: Where the port was given.

    Raises:
        UsageError: The port is in use or reserved, or the host is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"host: {host!r} is not known: {getattr(error, 'strerror', error)}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(_reason(host, port, option, error)) from error
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket, *, tls: bool) -> str:
    """URL that a listening socket answers at.

    Args:
        listener: The socket.
        tls: Whether it speaks TLS.
    """
    return f"{'https' if tls else 'http'}://{host_and_port(listener)}"


def _reason(host: str, port: int, option: str, error: OSError) -> str:
    name = option.replace("-", "_")
    if error.errno == errno.EADDRINUSE:
        return f"{name}: {port} of {host} is in use; give another one with --{option} (0 takes a free one)"
    if error.errno == errno.EACCES:
        return f"{name}: {port} may only be used by root; give one from 1024 on"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"host: {host} is no address of this machine"
    return f"host: {host}:{port} cannot be listened on: {error.strerror}"
