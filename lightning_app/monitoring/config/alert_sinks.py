"""Sinks of alerts: where they are sent; entries of `sinks` in monitor.yaml."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from features.definitions.duration import Duration
from lightning_app.monitoring.config.alert_rules import LabelName, RuleName, Selector

Seconds = Annotated[float, Meta(gt=0, le=120)]
Address = Annotated[str, Meta(pattern=r"^[^@\s<>,;:\"]+@[^@\s<>,;:\"]+$(?!\n)")]


class Secret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that must not stand in a configuration. Exactly one of both is given.

    Attributes:
        file: File that holds it; it is read again for each message.
        env: Environment variable that holds it.
    """

    file: str | None = None
    env: str | None = None


class SinkConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all sinks have.

    Attributes:
        name: Its name, unique.
        match: Labels of the alerts that it takes; `alert`, the name of the rule, and `severity` are labels too. Empty
            takes all.
        group_by: Labels whose values stand together in one message.
        give_up_after: How long a message is tried.
    """

    name: RuleName
    match: dict[str, Selector] = {}
    group_by: tuple[LabelName, ...] = ("model",)
    give_up_after: Duration = "3d"


class LogSink(SinkConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="log"):
    """The log of the process: one line per alert."""


class WebhookSink(SinkConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="webhook"):
    """An address that JSON is posted to.

    Attributes:
        url: Address, or where it stands if it is itself a secret.
        format: `json`: this program's own; `slack`: a text; `alertmanager`: version 2 of its API.
        secret: Key of the signature in the headers of Standard Webhooks.
        authorization: Value of the header Authorization.
        timeout_seconds: How long one attempt may take.
    """

    url: str | Secret
    format: Literal["json", "slack", "alertmanager"] = "json"
    secret: Secret | None = None
    authorization: Secret | None = None
    timeout_seconds: Seconds = 10.0


class EmailSink(SinkConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="email"):
    """Mail by SMTP.

    Attributes:
        host: Mail server.
        port: Its port; None takes that of `security`: 587, 465 or 25.
        security: `starttls`, `tls` from the first byte, or `none`.
        ca_file: Certificates that its own has to be signed by; None takes those of the system.
        username: Who logs in; None does not log in.
        password: Password.
        sender: Address that the mail is from.
        to: Addresses that it is sent to.
        timeout_seconds: How long the server may take for each answer.
    """

    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: str | None = None
    username: str | None = None
    password: Secret | None = None
    sender: Address
    to: Annotated[tuple[Address, ...], Meta(min_length=1, max_length=50)]
    timeout_seconds: Seconds = 10.0


AnySink: TypeAlias = LogSink | WebhookSink | EmailSink
