"""Retrain command: `lightning-app retrain watch` ticks again and again, until it is stopped."""

import argparse
import signal
import sys
import threading

from features.definitions.duration import microseconds
from lightning_app.errors import describe
from lightning_app.retraining.commands.options import parser_of, policy_of
from lightning_app.retraining.commands.tick_command import as_json, tick_once
from lightning_app.terminal import plain, print_json


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = parser_of(args[0], __doc__, epilog="Ends after the present tick by SIGTERM or Ctrl-C.")
    parser.add_argument("--every", type=_seconds, default=60.0, metavar="T", help="time between ticks; default: 1m")
    arguments = parser.parse_args(args[1:])
    policy, ended = policy_of(arguments), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    said = ""
    while not ended.is_set():
        try:
            report = tick_once(policy, quiet=True)
        except Exception as error:
            said = _say(f"{policy.model}: {describe(error)}", said)
        else:
            if arguments.json and report is not None and report.changes:
                print_json(as_json(policy, report))
            elif report is not None and not arguments.json:
                for line in report.changes:
                    print(plain(line), flush=True)  # noqa: T201
                failure = "" if report.failure is None else f"; {report.failure}"
                said = _say(f"{policy.model}: waits for {report.waits}{failure}", said)
        ended.wait(arguments.every)


def _say(line: str, said: str) -> str:
    """Prints a line that differs from the last one."""
    if line != said:
        print(plain(line), file=sys.stderr, flush=True)  # noqa: T201
    return line


def _seconds(text: str) -> float:
    try:
        return microseconds(text) / 1e6
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
