"""What the command refuses before it answers an event: one line, exit code 2."""

import re
from pathlib import Path

import pytest

from lightning_app.__main__ import main

FROM = ("--from", "queue://events", "--until-idle")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "model: none given; give NAME@champion, the folder of a package, or --config FILE"),
        (["PACKAGE"], "--from: none given; give kafka://HOST:PORT/TOPIC"),
        (["PACKAGE", "--form", "queue://a"], r"unrecognized arguments: --form queue://a, did you mean '--from'\?"),
        (["PACKAGE", "--from", "amqp://host/a"], "--from: 'amqp://host/a' given; kafka://HOST:PORT/TOPIC"),
        (["PACKAGE", "--from", "kafka://host:9092"], "--from: .* names no topic"),
        (["PACKAGE", "--from", "kafka:///topic"], "--from: .* names no host"),
        (["PACKAGE", "--from", "kafka://host/a?grup=b"], r"'grup' given in .*allowed: group, did you mean 'group'\?"),
        (["PACKAGE", "--from", "queue://a/b"], "a queue is in the database of the journal: queue://NAME"),
        (["PACKAGE", *FROM, "--to", "redis://:secret@host/a?group=b"], r"--to: 'group' given in 'redis://:\*\*\*@host"),
        (["PACKAGE", *FROM, "--to", "queue://events"], "--to: queue://events given, from which the stream reads"),
        (["PACKAGE", *FROM, "--batch", "0"], "--batch: 0 given; expected `int` >= 1"),
        (["PACKAGE", *FROM, "--start", "middle"], "--start: 'middle' given; invalid enum value"),
        (["PACKAGE", *FROM, "--kafka", "acks"], "--kafka: 'acks' given; KEY=VALUE needed"),
        (["PACKAGE", *FROM, "--max-events", "0"], "--max-events: 0 given, more than 0 is needed"),
        (["PACKAGE", *FROM, "--answer-type", "text/csv"], "answer_type: 'text/csv' given, allowed: application/json"),
        (["PACKAGE", *FROM, "--metrics", "9100"], "metrics: '9100' given, HOST:PORT needed"),
        (["PACKAGE", *FROM, "--sessions"], "--sessions: given, but small_mlp carries no state"),
        (["PACKAGE", *FROM, "--name", "a/b"], "--name: 'a/b' given; expected `str` matching regex"),
        (["PACKAGE", *FROM, "--journal", "none"], "journal: 'none' is no address of a journal"),
        (["./missing", *FROM], "model: ./missing does not exist"),
        (["PACKAGE", "-c", "cached.yaml"], "model: .* given with --config, which names its own"),
        (["-c", "cached.yaml"], "model.cache: given, but a stream has none of it; allowed: model, name, store"),
        (["-c", "sampled.yaml"], "journal.sample: 0.5 given; a stream writes every answer"),
        (["-c", "spilled.yaml"], "journal.on_failure: 'spill' given; a stream waits for its journal"),
        (["-c", "wrong.yaml"], r"config: wrong.yaml: .*unknown field `sorce`, did you mean 'source'\?"),
        (["put", "kafka://host/a"], "QUEUE: kafka://host/a given; queue://NAME is needed"),
        (["put", "a", "missing.jsonl"], "file: missing.jsonl cannot be read"),
        (["take", "a"], "journal: .*journal.db does not exist"),
        (["dead-letters", "lst"], r"ACTION: 'lst' given, allowed: list, retry, drop, did you mean 'list'\?"),
        (["dead-letters", "retry", "a"], "retry: give a STREAM, and either --number or --all"),
    ],
)
def test_what_is_wrong_is_refused_in_a_line(
    words: list[str],
    message: str,
    package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    model = f"model: {{model: {package}"
    for name, text in {
        "cached.yaml": f"{model}, cache: 5}}\nsource: queue://events\n",
        "sampled.yaml": f"{model}}}\nsource: queue://events\njournal: {{sample: 0.5}}\n",
        "spilled.yaml": f"{model}}}\nsource: queue://events\njournal: {{on_failure: spill}}\n",
        "wrong.yaml": f"{model}}}\nsorce: queue://events\n",
    }.items():
        Path(name).write_text(text)
    assert main(["stream", *(str(package) if word == "PACKAGE" else word for word in words)]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("{")]
    assert re.search(message, said[-1]), said
