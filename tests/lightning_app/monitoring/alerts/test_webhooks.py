import base64
import hmac
import json
import logging
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from lightning_app.monitoring.alerts import AlertEngine
from lightning_app.monitoring.alerts.delivery import Delivered
from lightning_app.monitoring.alerts.store import outbox
from lightning_app.monitoring.config.alert_sinks import LogSink, Secret, WebhookSink
from lightning_app.serving.journal.stores import open_database
from tests.lightning_app.monitoring.alerts.receivers import WebReceiver, web_receiver, with_header
from tests.lightning_app.monitoring.alerts.rules import DAY, HOUR, LOG, MINUTE, START, engine, mae, rule

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    with web_receiver() as receiver:
        yield receiver


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.db"


def hook(web: WebReceiver, **fields: Any) -> WebhookSink:
    return WebhookSink(**{"name": "hook", "url": f"{web.url}/T0/s3cr3t", **fields})


def firing(url: str, *sinks: Any, **fields: Any) -> AlertEngine:
    alerts = engine(url, rule(message="{model} <b> & {value:.0f}", **fields), sinks=sinks)
    alerts.evaluate([mae(11)], START)
    return alerts


def counts(url: str) -> dict[str, tuple[int, int, int, str | None]]:
    return {one.sink: tuple(one[1:]) for one in outbox.sink_counts(open_database(url))}  # type: ignore[misc]


def test_a_webhook_is_signed_and_sent_again_with_the_same_id_until_it_is_taken(url, web, monkeypatch, caplog) -> None:
    monkeypatch.setenv("HOOK_KEY", SECRET)
    web.answers = [503, 429, 408, 200]
    alerts = firing(url, hook(web, secret=Secret(env="HOOK_KEY")))
    assert alerts.deliver(START) == Delivered(postponed=1)
    assert alerts.deliver(START + 1) == Delivered()  # not before its time
    for wait in (10, 30):
        assert alerts.deliver(START + wait) == Delivered(postponed=1)
    assert counts(url) == {"hook": (1, 0, 0, f"{web.url.rpartition(':')[0]} answered 408")}
    assert alerts.deliver(START + HOUR) == Delivered(sent=1)
    assert alerts.deliver(START + DAY) == Delivered()
    assert counts(url)["hook"] == (0, 1, 0, None)
    assert len({request.headers["webhook-id"] for request in web.requests}) == 1
    for request in web.requests:
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
        expected = base64.b64encode(hmac.new(b"0123456789abcdef01234567", signed, sha256).digest()).decode()
        assert request.headers["webhook-signature"] == f"v1,{expected}"
    body = json.loads(web.requests[0].body)
    assert body["id"] == web.requests[0].headers["webhook-id"]
    (alert,) = body["alerts"]
    assert (alert["rule"], alert["status"], alert["value"], alert["threshold"]) == ("errors", "firing", 11.0, 10.0)
    assert "s3cr3t" not in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_a_refusal_is_final_and_recorded_and_the_next_message_is_sent(url, web, status) -> None:
    web.answers = [status]
    alerts = firing(url, hook(web))
    alerts.evaluate([mae(1)], START + 1)
    assert alerts.deliver(START + 2) == Delivered(sent=1, failed=1)
    waiting, sent, failed, _ = counts(url)["hook"]
    assert (waiting, sent, failed) == (0, 1, 1)


def test_a_redirect_is_not_followed(url, web) -> None:
    with web_receiver() as other:
        web.answers = [with_header(307, "Location", other.url)]
        assert firing(url, hook(web)).deliver(START) == Delivered(failed=1)
        assert other.requests == []


def test_the_receiver_may_say_when_to_try_again(url, web) -> None:
    web.answers = [with_header(429, "Retry-After", "600")]
    alerts = firing(url, hook(web))
    assert [alerts.deliver(START + wait).postponed for wait in (0, 500)] == [1, 0]
    assert alerts.deliver(START + 610).sent == 1


def test_messages_of_a_sink_keep_their_order_while_it_is_down(url, web) -> None:
    web.answers = [500]
    alerts = firing(url, hook(web))
    alerts.evaluate([mae(1)], START + 1)
    assert alerts.deliver(START + 2) == Delivered(postponed=1)
    assert alerts.deliver(START + 3) == Delivered()
    assert alerts.deliver(START + MINUTE) == Delivered(sent=2)
    assert [json.loads(request.body)["status"] for request in web.requests] == ["firing", "firing", "resolved"]


def test_a_message_is_given_up_after_its_time(url, web) -> None:
    web.answers = [500] * 2
    alerts = firing(url, hook(web, give_up_after="1h"))
    assert alerts.deliver(START) == Delivered(postponed=1)
    assert alerts.deliver(START + HOUR) == Delivered(failed=1)


def test_a_receiver_that_never_answers_delays_neither_another_sink_nor_the_evaluation(url, web, caplog) -> None:
    caplog.set_level(logging.INFO)
    end = threading.Event()
    web.answers = [lambda _: end.wait(30)]
    delivering = firing(url, hook(web, timeout_seconds=1.5), LOG)
    result: list[Delivered] = []
    thread = threading.Thread(target=lambda: result.append(delivering.deliver(START)))
    thread.start()
    while len(web.requests) == 0:
        pass
    alerts = engine(url, rule(), sinks=[hook(web), LOG], holder=delivering.holder)
    (state,) = alerts.evaluate([mae(1)], START + 1)
    assert state.status == "resolved"
    assert thread.is_alive()
    thread.join(20)
    end.set()
    assert result == [Delivered(sent=1, postponed=1)]
    assert counts(url)["hook"][3] == "http://127.0.0.1: no answer in time"
    assert "alert errors firing: bikes <b> & 11" in caplog.text


def test_a_receiver_that_is_not_there_is_said_without_the_secret_of_its_address(url, web, tmp_path, caplog) -> None:
    file = tmp_path / "address"
    file.write_text("http://127.0.0.1:9/services/s3cr3t\n")
    assert firing(url, hook(web, url=Secret(file=str(file)))).deliver(START).postponed == 1
    assert counts(url)["hook"][3] == "http://127.0.0.1: Connection refused"
    file.write_text("http://s3cr3t:s3cr3t@[/")
    firing(url, hook(web, url=Secret(file=str(file)))).deliver(START + HOUR)
    file.unlink()
    firing(url, hook(web, url=Secret(file=str(file)))).deliver(START + DAY)
    assert counts(url)["hook"][3] == f"url: {file} cannot be read: No such file or directory"
    assert "s3cr3t" not in caplog.text


def test_slack_gets_a_text_in_which_nothing_is_a_link(url, web) -> None:
    firing(url, hook(web, format="slack"), annotations={"do": "look"}).deliver(START)
    (request,) = web.requests
    expected = "*[1 firing] bikes: errors*\n• warn: bikes &lt;b&gt; &amp; 11\n    do: look"
    assert json.loads(request.body) == {"text": expected}


def test_alertmanager_gets_alerts_that_last_until_they_are_repeated(url, web, monkeypatch) -> None:
    monkeypatch.setenv("TOKEN", "Bearer abc")
    sink = hook(web, format="alertmanager", url=f"{web.url}/api/v2/alerts", authorization=Secret(env="TOKEN"))
    alerts = firing(url, sink, repeat_every="1h", labels={"team": "rides"})
    alerts.evaluate([mae(1)], START + MINUTE)
    alerts.deliver(START + MINUTE)
    fired, resolved = (json.loads(request.body)[0] for request in web.requests)
    assert web.requests[0].headers["authorization"] == "Bearer abc"
    assert fired["labels"] == {
        "alertname": "errors", "severity": "warn", "team": "rides", "model": "bikes", "version": "3", "metric": "mae",
    }  # fmt: skip
    assert (fired["startsAt"], fired["endsAt"]) == ("2025-10-09T08:53:20.000Z", "2025-10-09T10:53:20.000Z")
    assert (resolved["startsAt"], resolved["endsAt"]) == (fired["startsAt"], "2025-10-09T08:54:20.000Z")


def test_messages_of_a_sink_that_was_removed_are_given_up(url, web) -> None:
    firing(url, hook(web)).close()
    assert engine(url, rule(), sinks=[LOG]).deliver(START + 1) == Delivered(failed=1)
    assert counts(url)["hook"] == (0, 0, 1, "there is no sink of this name any more")


def test_a_clock_that_is_set_back_neither_repeats_nor_holds_up_messages(url, web) -> None:
    web.answers = [500]
    alerts = firing(url, hook(web))
    alerts.deliver(START)
    assert alerts.deliver(START - DAY) == Delivered(sent=1)
    assert alerts.deliver(START - 2 * DAY) == Delivered()
    assert len(web.requests) == 2


def test_the_process_that_does_not_hold_the_lease_sends_nothing(url, web) -> None:
    firing(url, hook(web))
    assert engine(url, rule(), sinks=[hook(web)], holder="another").deliver(START) == Delivered()
    assert web.requests == []


def test_the_log_has_the_facts_beside_the_text(url, caplog) -> None:
    caplog.set_level(logging.INFO, "lightning_app")
    alerts = firing(url, LogSink(name="log"))
    alerts.evaluate([mae(1)], START + 1)
    alerts.deliver(START + 2)
    fired, resolved = (record for record in caplog.records if hasattr(record, "facts"))
    assert (fired.levelname, resolved.levelname) == ("WARNING", "INFO")
    assert fired.facts["labels"]["version"] == "3"
    assert (fired.facts["value"], resolved.facts["value"], resolved.facts["status"]) == (11.0, 1.0, "resolved")
