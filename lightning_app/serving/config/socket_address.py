"""Address of a listening socket as text."""

import socket


def host_and_port(listener: socket.socket) -> str:
    """Address that a listening socket answers at: `127.0.0.1:8000`, `[::1]:8000`.

    Args:
        listener: The socket.
    """
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
