import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from lightning_app.monitoring.alerts import AlertEngine
from lightning_app.monitoring.alerts.delivery import Delivered
from lightning_app.monitoring.alerts.store import outbox
from lightning_app.monitoring.config.alert_sinks import EmailSink, Secret
from lightning_app.serving.journal.stores import open_database
from tests.lightning_app.monitoring.alerts.rules import HOUR, START, engine, mae, rule
from tests.lightning_app.serving.security.test_exposure import certificate

pytest.importorskip("aiosmtpd", reason="needs aiosmtpd")
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # TLS is outside of it


class Mailbox:
    """Handler of a mail server: keeps what it takes; answers of `refusals` come first."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []
        self.refusals: list[str] = []
        self.unknown = ""

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address == self.unknown:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refusals:
            return self.refusals.pop(0)
        self.envelopes.append(envelope)
        return "250 OK"


@contextmanager
def mail_server(box: Mailbox, **options: Any) -> Iterator[int]:
    controller = Controller(box, hostname="127.0.0.1", port=0, **options)
    controller.port = free_port()
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.db"


def firing(url: str, port: int, **fields: Any) -> AlertEngine:
    sink = EmailSink(**{
        "name": "mail", "host": "127.0.0.1", "port": port, "sender": "monitor@example.org",
        "to": ("ann@example.org", "eve@example.org"), "security": "none", "timeout_seconds": 5.0, **fields,
    })  # fmt: skip
    alerts = engine(url, rule(message="<{model}> is at\n{value:.0f}", annotations={"do": "roll back"}), sinks=[sink])
    alerts.evaluate([mae(11, model="bïkes")], START)
    return alerts


def last_error(url: str) -> str | None:
    (count,) = outbox.sink_counts(open_database(url))
    return count.error


def test_a_mail_has_a_text_an_html_and_an_id_of_its_own(url) -> None:
    box = Mailbox()
    with mail_server(box) as port:
        assert firing(url, port).deliver(START) == Delivered(sent=1)
    (envelope,) = box.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("monitor@example.org", ["ann@example.org", "eve@example.org"])
    mail = message_from_bytes(envelope.content, policy=policy.default)
    assert mail["Subject"] == "[1 firing] bïkes: errors"
    assert mail["To"] == "ann@example.org, eve@example.org"
    assert mail["Message-ID"].endswith("@example.org>")
    assert mail["Auto-Submitted"] == "auto-generated"
    text, html = (mail.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html"))
    assert "warn: <bïkes> is at 11\n  firing since 2025-10-09 08:53 UTC\n  do: roll back\n" in text
    assert "&lt;bïkes&gt; is at 11" in html


def test_a_mail_is_sent_again_after_a_temporary_refusal_and_given_up_after_a_final_one(url) -> None:
    box = Mailbox()
    box.refusals = ["451 busy", "554 never"]
    with mail_server(box) as port:
        alerts = firing(url, port)
        assert alerts.deliver(START) == Delivered(postponed=1)
        assert last_error(url) == f"127.0.0.1:{port} answered 451 busy"
        assert alerts.deliver(START + HOUR) == Delivered(failed=1)
        box.unknown = "eve@example.org"
        alerts.evaluate([mae(1, model="bïkes")], START + HOUR)
        assert alerts.deliver(START + HOUR) == Delivered(sent=1)  # ann has it
        assert last_error(url) == f"127.0.0.1:{port}: eve@example.org refused: 550 no such user"
    assert firing(url, port).deliver(START + 2 * HOUR) == Delivered()


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_passwords_are_sent_over_tls_to_a_server_whose_certificate_is_known(url, tmp_path, security) -> None:
    certificate_file, key_file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    password = tmp_path / "password"
    password.write_text("wrong\n")

    def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login, data.password) == (b"monitor", b"right"), handled=False)

    tls = {"ssl_context": context} if security == "tls" else {"tls_context": context, "require_starttls": True}
    secret = {"security": security, "username": "monitor", "password": Secret(file=str(password))}
    box = Mailbox()
    options = {"authenticator": login, "auth_required": True, "auth_require_tls": security == "starttls"}
    with mail_server(box, **options, **tls) as port:
        alerts = firing(url, port, ca_file=str(certificate_file), **secret)
        assert alerts.deliver(START) == Delivered(postponed=1)
        assert last_error(url) == f"127.0.0.1:{port}: login of monitor refused (535)"
        password.write_text("right\n")
        assert alerts.deliver(START + HOUR) == Delivered(sent=1)
        stranger = firing(f"{url}2", port, **secret)
        assert stranger.deliver(START) == Delivered(postponed=1)
        assert "self-signed certificate" in (last_error(f"{url}2") or "")
    assert len(box.envelopes) == 1


def test_a_server_without_starttls_gets_no_password(url, tmp_path) -> None:
    password = tmp_path / "password"
    password.write_text("right\n")
    box = Mailbox()
    with mail_server(box) as port:
        alerts = firing(url, port, security="starttls", username="monitor", password=Secret(file=str(password)))
        assert alerts.deliver(START).postponed == 1
    assert "STARTTLS" in (last_error(url) or "")
    assert alerts.deliver(START + HOUR).postponed == 1
    assert last_error(url) == f"127.0.0.1:{port}: Connection refused"
