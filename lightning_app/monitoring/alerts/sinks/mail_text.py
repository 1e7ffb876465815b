"""Mail about alerts: plain text, and the same as a short HTML."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape

from lightning_app.monitoring.alerts.message import Message, SentAlert, title
from lightning_app.terminal import plain
from lightning_app.time_text import utc

_MOST_ALERTS = 100
_MOST_SUBJECT = 200


def mail(message: Message, *, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """A mail.

    Args:
        message: What it is about; its id is that of the mail, so that a second copy can be told.
        sender: Address that it is from.
        to: Addresses that it is sent to.
    """
    user, _, domain = sender.rpartition("@")
    result = EmailMessage()
    result["Subject"] = " ".join(plain(title(message)).split())[:_MOST_SUBJECT]
    result["From"] = Address(username=user, domain=domain)
    result["To"] = [Address(username=one.rpartition("@")[0], domain=one.rpartition("@")[2]) for one in to]
    result["Date"] = format_datetime(datetime.fromtimestamp(message.time, UTC))
    result["Message-ID"] = f"<{message.id}@{domain}>"
    result["Auto-Submitted"] = "auto-generated"
    shown = message.alerts[:_MOST_ALERTS]
    more = len(message.alerts) - len(shown)
    end = f"and {more} more" if more else ""
    result.set_content("\n\n".join([title(message), *map(_plain, shown), *([end] if end else [])]) + "\n")
    rows = "".join(_row(alert) for alert in shown)
    result.add_alternative(
        f"<!doctype html><title>{escape(title(message))}</title><p><b>{escape(title(message))}</b></p>"
        f"<table cellpadding=6>{rows}</table>{f'<p>{end}</p>' if end else ''}",
        subtype="html",
    )
    return result


def _plain(alert: SentAlert) -> str:
    lines = [f"{_state(alert)}: {alert.text}", f"  firing since {utc(alert.fired)}"]
    if alert.resolved is not None:
        lines.append(f"  resolved {utc(alert.resolved)}")
    lines += [f"  {name}: {text}" for name, text in alert.annotations.items()]
    lines.append("  " + ", ".join(f"{name}={value}" for name, value in alert.labels.items() if value))
    return "\n".join(lines)


def _row(alert: SentAlert) -> str:
    color = "#1a7f37" if alert.status == "resolved" else "#b42318"
    notes = "".join(f"<br><small>{escape(f'{name}: {text}')}</small>" for name, text in alert.annotations.items())
    when = f"firing since {utc(alert.fired)}"
    if alert.resolved is not None:
        when = f"{utc(alert.fired)} to {utc(alert.resolved)}"
    return (
        f"<tr><td style='color:{color}'><b>{escape(_state(alert))}</b></td>"
        f"<td>{escape(alert.text)}<br><small>{escape(when)}</small>{notes}</td></tr>"
    )


def _state(alert: SentAlert) -> str:
    return "resolved" if alert.status == "resolved" else alert.severity
