"""Exposure: who can reach a server, and whether it may start without keys; TLS by certificate files."""

import ipaddress
import ssl
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.serving.config.resilience_config import chaos_problem
from lightning_app.serving.config.serve_config import ServeConfig
from lightning_app.serving.security.api_keys import Keys


def check_exposure(config: ServeConfig) -> None:
    """Checks that a server does not let in everyone by mistake, and that its keys and its certificate can be used.

    Args:
        config: Configuration of the server.

    Raises:
        UsageError: Without keys it would be reachable from other machines, or the key file or certificate is invalid,
            or faults are injected where others could meet them.
    """
    if config.chaos is not None:
        if not is_loopback(config.host):
            raise UsageError(
                f"chaos: given with the host {config.host}; faults are injected on 127.0.0.1 only, where no user is"
            )
        if (problem := chaos_problem(config.chaos)) is not None:
            raise UsageError(problem)
    if config.keys is not None:
        if config.insecure:
            raise UsageError("insecure: given together with keys; leave one of them out")
        Keys.load(config.keys)
    elif not is_loopback(config.host) and not config.insecure:
        raise UsageError(
            f"host: {config.host} given without keys: everyone who reaches it could ask; give --keys FILE, see "
            "`lightning-app keys add`, or --insecure if that is meant"
        )
    if config.tls_cert is not None or config.tls_key is not None:
        tls_context(config)


def exposure_note(config: ServeConfig) -> str | None:
    """What the user of a server has to know of who can reach it; None if there is nothing to say.

    Args:
        config: Configuration of the server.
    """
    if config.keys is None:
        return "no API keys: open to everyone" if config.insecure else "no API keys: this machine only"
    if config.tls_cert is None and not is_loopback(config.host):
        return "no TLS: API keys are sent in clear text, unless a proxy in front speaks TLS"
    return None


def is_loopback(host: str) -> bool:
    """Whether an address is that of this machine alone; names other than `localhost` are taken as reachable.

    Args:
        host: Address or name that is listened on.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(config: ServeConfig) -> ssl.SSLContext:
    """TLS context of a server: TLS 1.2 or newer, with the cipher suites that Python takes as safe.

    Args:
        config: Configuration with `tls_cert` and `tls_key`.

    Raises:
        UsageError: A file is missing, no certificate, or the key does not belong to it.
    """
    if config.tls_cert is None or config.tls_key is None:
        given, needed = ("tls_cert", "tls_key") if config.tls_key is None else ("tls_key", "tls_cert")
        raise UsageError(f"{needed}: none given beside {given}; TLS needs both")
    for name, path in (("tls_cert", config.tls_cert), ("tls_key", config.tls_key)):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise UsageError(f"{name}: {path} cannot be read: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Without a password an encrypted key asks the terminal for one; a server has none.
    try:
        context.load_cert_chain(config.tls_cert, config.tls_key, password=lambda: b"")
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise UsageError(
            f"tls_cert: {config.tls_cert} and {config.tls_key} are no certificate and its key without a password, both "
            f"PEM: {reason}"
        ) from error
    return context
