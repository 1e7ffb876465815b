"""Stream command: `lightning-app stream` answers events of Kafka, Redis Streams or a queue table, each exactly once."""

import argparse
from importlib.util import find_spec
from typing import Any, get_type_hints

import msgspec

from lightning_app.errors import UsageError
from lightning_app.serving.config.serve_config import JournalConfig, ModelConfig
from lightning_app.serving.stream.stream_config import StreamConfig, check_stream_config, read_stream_config
from lightning_app.sub_commands import SubCommands, run_sub_command
from lightning_app.verb_parser import VerbParser

SUBCOMMANDS: SubCommands = {
    "put": ("lightning_app.serving.stream.commands.put:run", "Put events into a queue."),
    "take": ("lightning_app.serving.stream.commands.take:run", "Print answers from a queue, and delete them."),
    "show": ("lightning_app.serving.stream.commands.show:run", "Show positions, queues, outbox and dead letters."),
    "dead-letters": (
        "lightning_app.serving.stream.commands.dead_letters:run",
        "List, retry or drop events that could not be answered.",
    ),
}
_NEEDED = ("prometheus_client", "onnxruntime", "pyarrow")
_OF_MODEL = ("store", "namespace", "entity", "batching", "digits")
_OF_STREAM = (
    "source", "sink", "dead_letters", "name", "registry", "poll_seconds", "trusted_keys", "content_type", "answer_type",
    "start", "batch", "linger_ms", "lease_seconds", "attempts", "on_failure", "hang_seconds", "retry_seconds",
    "drain_seconds", "metrics", "log_level",
)  # fmt: skip


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        SystemExit: The worker has ended, but not all of its messages were acknowledged.
        UsageError: Something given is wrong; names it, and what is allowed.
    """
    if args[1:2] and args[1] in SUBCOMMANDS:
        run_sub_command(args, SUBCOMMANDS, usage="SUBCOMMAND [options]", description=__doc__ or "")
        return
    arguments = _parser().parse_intermixed_args(args[1:])
    config = _config(arguments)
    check_stream_config(config)
    for name in ("max_events", "idle_seconds"):
        if (given := getattr(arguments, name)) is not None and given <= 0:
            raise UsageError(f"--{name.replace('_', '-')}: {given:g} given, more than 0 is needed")
    if missing := [module for module in _NEEDED if find_spec(module) is None]:
        raise UsageError(f"stream: needs {', '.join(missing)}: pip install 'lightning-r2p[serve]'")
    from lightning_app.serving.stream.worker import run_worker

    code = run_worker(
        config,
        max_events=arguments.max_events,
        idle_seconds=arguments.idle_seconds if arguments.until_idle else None,
    )
    if code:
        raise SystemExit(code)


def _parser() -> VerbParser:
    lines = "\n".join(f"  {name:<14}{text}" for name, (_, text) in SUBCOMMANDS.items())
    parser = VerbParser(
        "stream",
        description=__doc__,
        epilog=f"sub-commands, as in `lightning-app stream put`:\n{lines}\n\nSIGTERM ends a worker once its batch is "
        "committed. docs/streams.md says what exactly once means, and describes every key of a config file.",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", nargs="?", metavar="MODEL", help="NAME@champion, NAME@3, NAME, or a package's folder")
    parser.add_argument("-c", "--config", metavar="FILE", help="YAML file; options override what it says")
    ends = parser.add_argument_group("events and answers")
    ends.add_argument(
        "--from", dest="source", metavar="URL",
        help="kafka://HOST:9092/TOPIC?group=G, redis://HOST:6379/STREAM?group=G, or queue://NAME in the journal",
    )  # fmt: skip
    ends.add_argument("--to", dest="sink", metavar="URL", help="where answers go too; default: the journal alone")
    ends.add_argument("--dead-letters", metavar="URL", help="where a copy of each dead letter goes")
    ends.add_argument("--journal", metavar="URL", help="sqlite:///FILE or postgresql://...; default: journal.db")
    ends.add_argument("--name", help="of the stream, with which request ids begin; default: topic and group")
    ends.add_argument("--start", help="where a new group begins: earliest (default) or latest")
    ends.add_argument("--content-type", help="media type of events without one; default: application/json")
    ends.add_argument("--answer-type", help="media type of answers; default: that of the event")
    ends.add_argument(
        "--kafka", action="append", default=[], metavar="KEY=VALUE", help="setting of librdkafka; may be repeated"
    )
    ends.add_argument("--sessions", action="store_true", help="carry the state of a recurrent model on by event key")
    work = parser.add_argument_group("work")
    work.add_argument("--until-idle", action="store_true", help="end when there is nothing left")
    work.add_argument("--idle-seconds", type=float, default=2.0, metavar="S", help="for so long; default: 2")
    work.add_argument("--max-events", type=int, metavar="N", help="end after so many events")
    work.add_argument("--batch", type=int, help="most events of one transaction; default: 256")
    work.add_argument("--linger-ms", type=float, metavar="MS", help="pause after a batch that was not full; default: 5")
    work.add_argument("--lease-seconds", type=float, metavar="S", help="until others take over; default: 30")
    work.add_argument("--attempts", type=int, help="deaths over an event until it is a dead letter; default: 5")
    work.add_argument("--on-failure", help="of the model: stop (default) after retries, or dead-letter")
    work.add_argument("--hang-seconds", type=float, metavar="S", help="for a call of the model; default: 60")
    work.add_argument("--retry-seconds", type=float, metavar="S", help="how long failures are retried; default: 300")
    work.add_argument("--drain-seconds", type=float, metavar="S", help="for the last messages; default: 30")
    work.add_argument("--metrics", metavar="HOST:PORT", help="where Prometheus reads; default: nowhere")
    work.add_argument("--log-level", help="info, or debug")
    model = parser.add_argument_group("model")
    model.add_argument("--registry", metavar="URL", help="where names are registered; default: $MLFLOW_TRACKING_URI")
    model.add_argument("--poll-seconds", type=float, metavar="S", help="how often aliases are asked; default: 10")
    model.add_argument(
        "--trusted-key", action="append", dest="trusted_keys", metavar="FILE", help="the package has to be signed by it"
    )
    model.add_argument("--store", metavar="URL", help="online store with the history of entities")
    model.add_argument("--namespace", help="project in the store")
    model.add_argument("--entity", metavar="COLUMN", help="column that is journalled as the key of the entity")
    model.add_argument("--batching", help="auto measures what is best, off answers each event by itself")
    model.add_argument("--digits", type=int, help="significant digits of numbers in answers; default: all")
    return parser


def _config(arguments: argparse.Namespace) -> StreamConfig:
    """Configuration of a command line."""
    of_model = {name: getattr(arguments, name) for name in _OF_MODEL if getattr(arguments, name) is not None}
    of_stream = {name: getattr(arguments, name) for name in _OF_STREAM if getattr(arguments, name) is not None}
    if arguments.sessions:
        of_stream["sessions"] = True
    if arguments.config is not None:
        config = read_stream_config(arguments.config)
        if arguments.model is not None:
            raise UsageError(f"model: {arguments.model} given with --config, which names its own; leave one out")
    elif arguments.model is None:
        raise UsageError("model: none given; give NAME@champion, the folder of a package, or --config FILE")
    elif arguments.source is None:
        raise UsageError("--from: none given; give kafka://HOST:PORT/TOPIC, redis://HOST:PORT/STREAM or queue://NAME")
    else:
        config = StreamConfig(model=ModelConfig(model=arguments.model), source=arguments.source)
    if arguments.journal is not None:
        of_stream["journal"] = _replaced(JournalConfig, config.journal, {"url": arguments.journal})
    if arguments.kafka:
        of_stream["kafka"] = {**config.kafka, **dict(_setting(text) for text in arguments.kafka)}
    of_stream["model"] = _replaced(ModelConfig, config.model, of_model)
    replaced: StreamConfig = _replaced(StreamConfig, config, of_stream)
    return replaced


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise UsageError(f"--kafka: {text!r} given; KEY=VALUE needed, e.g. security.protocol=SASL_SSL")
    return name, value


def _replaced(struct: type[Any], config: Any, changes: dict[str, Any]) -> Any:
    """A checked copy of a part of the configuration with other values."""
    options = {"source": "from", "sink": "to", "trusted_keys": "trusted-key"}
    for name, value in changes.items():
        try:
            msgspec.convert(value, get_type_hints(struct, include_extras=True)[name], from_attributes=False)
        except msgspec.ValidationError as error:
            option = options.get(name, name.replace("_", "-"))
            message = str(error)
            raise UsageError(f"--{option}: {value!r} given; {message[:1].lower()}{message[1:]}") from error
    return msgspec.structs.replace(config, **changes)
