"""Retrain command: `lightning-app retrain simulate` replays a policy over history: is it worth it?"""

import json
from pathlib import Path

import msgspec
import numpy as np

from features.definitions.duration import seconds
from lightning_app.atomic_write import write_whole
from lightning_app.errors import UsageError
from lightning_app.retraining.commands.options import parser_of, policy_of
from lightning_app.retraining.config.policy import RetrainPolicy
from lightning_app.retraining.simulate import ReplayRows, Strategy, read_replay_rows, replay
from lightning_app.retraining.simulate.estimator_learner import EstimatorLearner
from lightning_app.retraining.simulate.learner import Learner
from lightning_app.retraining.simulate.outcome import lines_of, report_of
from lightning_app.retraining.simulate.package_learner import PackageLearner
from lightning_app.retraining.simulate.picture import picture_of
from lightning_app.terminal import plain, print_json

_EPILOG = "Without --learner, the training of the policy runs for each fit, which takes as long as it takes."


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.

    Raises:
        UsageError: The policy, the table or an option is wrong.
    """
    parser = parser_of(args[0], __doc__, epilog=_EPILOG)
    parser.add_argument("--history", metavar="TABLE", required=True, help="labelled rows in the order of time")
    parser.add_argument("--every", metavar="30d,...", default="30d", help="periods beside the policy; default: 30d")
    parser.add_argument("--start", type=float, default=0.2, help="share of the rows before the first answer; 0.2")
    parser.add_argument("--delay", metavar="1d", help="from a row to its label; default: outcome_time, or mature_after")
    parser.add_argument("--tick", default="1d", help="time between two looks; default: 1d")
    parser.add_argument("--learner", metavar="module:Class", help="estimator with fit and predict, for fast studies")
    parser.add_argument("--arguments", metavar="JSON", default="{}", help="arguments of the learner")
    parser.add_argument("--columns", metavar="a,b", help="columns that the learner reads; default: all it can")
    detectors = ("none", "adwin", "page_hinkley", "glr")
    parser.add_argument("--detector", choices=detectors, default="none", help="begins a cycle when errors change")
    parser.add_argument("--gate", choices=("policy", "none"), default="policy", help="none: every fit is promoted")
    parser.add_argument("--folder", default="simulation", help="files of fits without --learner")
    parser.add_argument("--output", metavar="JSON", default="simulation.json")
    parser.add_argument("--picture", metavar="SVG", help="error over time")
    arguments = parser.parse_args(args[1:])
    policy = policy_of(arguments)
    delay = None if arguments.delay is None else _seconds("delay", arguments.delay)
    rows = read_replay_rows(arguments.history, policy.data, delay=delay)
    start = _start(rows, arguments.start)
    columns = None if arguments.columns is None else arguments.columns.split(",")
    learner = _learner(rows, policy, arguments.learner, arguments.arguments, columns, Path(arguments.folder))
    strategies = [Strategy(name="never", policy=policy)]
    strategies.append(
        Strategy(
            name="policy", policy=policy, follows_policy=True, detector=arguments.detector,
            gated=arguments.gate == "policy",
        )
    )  # fmt: skip
    periods = [period.strip() for period in arguments.every.split(",") if period.strip()]
    strategies += [Strategy(name=f"every {one}", policy=policy, period=_seconds("every", one)) for one in periods]
    tick = _seconds("tick", arguments.tick)
    replays = [replay(rows, learner, strategy, start=start, tick=tick) for strategy in strategies]
    window = _seconds("data.evaluation_window", policy.data.evaluation_window)
    report = report_of(rows, replays, model=policy.model, error_name=learner.error_name, start=start, window=window)
    notes = [*report.notes, *_not_replayed(policy)]
    report = msgspec.structs.replace(report, notes=tuple(notes))
    write_whole(Path(arguments.output), msgspec.json.format(msgspec.json.encode(report)).decode())
    if arguments.picture is not None:
        write_whole(Path(arguments.picture), picture_of(report))
    if arguments.json:
        print_json(msgspec.to_builtins(report))
        return
    heads = ["strategy", report.error_name, "against never", "fits", "promoted", "CPU s"]
    table = [heads, *lines_of(report)]
    widths = [max(len(row[place]) for row in table) for place in range(len(heads))]
    for row in table:
        print(plain("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()))  # noqa: T201
    for line in (*notes, f"simulation: {arguments.output}"):
        print(plain(line))  # noqa: T201


def _learner(
    rows: ReplayRows, policy: RetrainPolicy, kind: str | None, given: str, columns: list[str] | None, folder: Path
) -> Learner:
    if kind is None:
        if given != "{}" or columns is not None:
            raise UsageError("arguments, columns: given without learner; the training of the policy has its own config")
        return PackageLearner(rows, policy=policy, folder=folder)
    try:
        arguments = json.loads(given)
    except json.JSONDecodeError as error:
        raise UsageError(f"arguments: {given!r} is no JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise UsageError(f"arguments: {given!r} given, an object is needed, e.g. '{{\"C\": 1.0}}'")
    return EstimatorLearner(rows, kind=kind, arguments=arguments, columns=columns)


def _start(rows: ReplayRows, share: float) -> float:
    if not 0 < share < 1:
        raise UsageError(f"start: {share:g} given, a share of the rows between 0 and 1 is needed")
    return float(np.quantile(rows.event, share, method="higher"))


def _seconds(option: str, duration: str) -> float:
    try:
        return seconds(duration.strip())
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _not_replayed(policy: RetrainPolicy) -> list[str]:
    """What a policy says and a replay cannot do."""
    triggers, rollout = policy.triggers, policy.rollout
    parts = [
        (triggers.drift is not None, "triggers.drift: not replayed; --detector watches the errors"),
        (triggers.metric is not None, "triggers.metric: replayed with the mean error, whatever metric it names"),
        (
            rollout.canary is not None or rollout.shadow is not None,
            "rollout: not replayed; what passes answers at once",
        ),
        (policy.data.exploration_only, "data.exploration_only: not replayed; history has no arms"),
    ]
    return [words for holds, words in parts if holds]
