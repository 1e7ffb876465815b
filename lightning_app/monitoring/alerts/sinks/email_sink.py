"""Mail sink: sends mail by SMTP, with STARTTLS or TLS, and a login."""

import smtplib
import ssl

from lightning_app.monitoring.alerts.message import Message
from lightning_app.monitoring.alerts.sinks.mail_text import mail
from lightning_app.monitoring.alerts.sinks.secret_text import secret_text
from lightning_app.monitoring.alerts.sinks.sink import SinkError
from lightning_app.monitoring.config.alert_sinks import EmailSink

_PORTS = {"starttls": 587, "tls": 465, "none": 25}


class EmailSender:
    """Sends each message as one mail to all addresses.

    Args:
        config: Its configuration.
    """

    def __init__(self, config: EmailSink) -> None:
        self._config = config

    def send(self, message: Message) -> str | None:
        """Sends a mail.

        Args:
            message: What it is about.

        Returns:
            Addresses that were refused while others took it.

        Raises:
            SinkError: No address took it; final if the server refuses it for good, but not for a failed login, which
                a new password repairs.
        """
        config = self._config
        password = None if config.password is None else secret_text(config.password, "password")
        text = mail(message, sender=config.sender, to=config.to)
        try:
            with self._connected() as server:
                if config.username is not None and password is not None:
                    server.login(config.username, password)
                refused = server.send_message(text, config.sender, list(config.to))
        except smtplib.SMTPAuthenticationError as error:
            raise SinkError(f"{self._place}: login of {config.username} refused ({error.smtp_code})") from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            raise SinkError(f"{self._place}: {_refused(error.recipients)}", is_final=min(codes) >= 500) from None
        except smtplib.SMTPResponseException as error:
            raise SinkError(f"{self._place} answered {_line(error.smtp_code, error.smtp_error)}",
                            is_final=error.smtp_code >= 500) from None  # fmt: skip
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            raise SinkError(f"{self._place}: {_reason(error)}") from None
        return f"{self._place}: {_refused(refused)}" if refused else None

    @property
    def _place(self) -> str:
        return f"{self._config.host}:{self._port}"

    @property
    def _port(self) -> int:
        return self._config.port or _PORTS[self._config.security]

    def _connected(self) -> smtplib.SMTP:
        config = self._config
        if config.security == "none":
            return smtplib.SMTP(config.host, self._port, timeout=config.timeout_seconds)
        context = ssl.create_default_context(cafile=config.ca_file)
        if config.security == "tls":
            return smtplib.SMTP_SSL(config.host, self._port, timeout=config.timeout_seconds, context=context)
        server = smtplib.SMTP(config.host, self._port, timeout=config.timeout_seconds)
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server


def _refused(recipients: dict[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{address} refused: {_line(*answer)}" for address, answer in recipients.items())


def _line(code: int, text: bytes | str) -> str:
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join(f"{code} {shown}".split())[:300]


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    named = getattr(error, "verify_message", None) or getattr(error, "strerror", None)
    return " ".join(str(named or error or type(error).__name__).split())[:300]
