"""Listening socket, bound before anything is loaded, and inherited by the workers."""

import errno
import socket

from lightning_app.errors import UsageError

_BACKLOG = 2048
"""Connections that wait while workers start or are busy."""


def listen(host: str, port: int) -> socket.socket:
    """Binds an address.

    Args:
        host: Name or address of this machine.
        port: Port; 0 takes a free one.

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
        raise UsageError(_reason(host, port, error)) from error
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket, *, tls: bool) -> str:
    """URL that a listening socket answers at.

    Args:
        listener: The socket.
        tls: Whether it speaks TLS.
    """
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def _reason(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port: {port} of {host} is in use; give another one with --port (0 takes a free one)"
    if error.errno == errno.EACCES:
        return f"port: {port} may only be used by root; give one from 1024 on"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"host: {host} is no address of this machine"
    return f"host: {host}:{port} cannot be listened on: {error.strerror}"
