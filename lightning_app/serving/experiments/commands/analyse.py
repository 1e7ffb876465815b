"""Experiment command: `lightning-app experiment analyse ID` compares the arms by their rewards."""

import argparse
import math
import time
from pathlib import Path
from typing import Any

import msgspec

from lightning_app.errors import UsageError, nearest
from lightning_app.serving.config.experiment_config import Key, RewardConfig
from lightning_app.serving.experiments.analysis.analysis import analyse
from lightning_app.serving.experiments.analysis.catalogue import KnownExperiment, catalogue, find
from lightning_app.serving.experiments.analysis.guardrails import counted_guardrails
from lightning_app.serving.experiments.analysis.off_policy.target_policy import target_policy
from lightning_app.serving.experiments.analysis.pre_period import (
    PrePeriod,
    pre_period_of_file,
    pre_period_of_journal,
)
from lightning_app.serving.experiments.analysis.reporting.formats import time_text
from lightning_app.serving.experiments.analysis.reporting.pictures import (
    draw_canary,
    draw_differences,
    draw_effects,
    draw_rewards,
    draw_shares,
)
from lightning_app.serving.experiments.analysis.reporting.report import new_folder, write_report
from lightning_app.serving.experiments.analysis.reporting.sections import (
    Section,
    analysis_sections,
    guardrail_section,
    shadow_sections,
)
from lightning_app.serving.experiments.analysis.results import Analysis, as_data
from lightning_app.serving.experiments.analysis.settings import Settings
from lightning_app.serving.experiments.analysis.shadow import PREFIX, compare_shadow, find_shadow, shadow_models
from lightning_app.serving.experiments.analysis.statistics.effects import TIGHTEST_AT
from lightning_app.serving.experiments.commands.options import add_journal, fraction, opened, positive, print_sections
from lightning_app.serving.experiments.store import ExperimentStore
from lightning_app.serving.journal.stores.database import JournalDatabase
from lightning_app.terminal import only_result, plain, print_json
from lightning_app.verb_parser import VerbParser


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    arguments = _parser(args[0]).parse_args(args[1:])
    _check(arguments)
    with opened(arguments.journal) as database, only_result(arguments.json):
        if arguments.experiment.startswith(PREFIX):
            data = _analyse_shadow(database, arguments)
        else:
            data = _analyse(database, arguments)
    if arguments.json:
        print_json(data)


def _parser(verb: str) -> VerbParser:
    policies = (
        'policy: ARM, arm=0.3,other=0.7, "large if amount > 10 else small", or a linear bandit\'s state in a .json'
    )
    parser = VerbParser(verb, description=__doc__, epilog=f"Times are UTC. {policies}.")
    parser.add_argument("experiment", metavar="ID", help="as `experiment list` shows it; also shadow:MODEL")
    add_journal(parser)
    parser.add_argument(
        "--output", type=Path, default=None, metavar="FOLDER", help="new folder: report.md and pictures"
    )
    parser.add_argument(
        "--policy", action="append", default=[], help="estimate the reward of another policy; see below"
    )
    parser.add_argument("--clip", type=positive, default=None, metavar="W", help="largest weight of these estimates")
    parser.add_argument("--pre-period", default=None, metavar="SOURCE", help="CUPED: journal, none, .parquet or .csv")
    parser.add_argument("--pre-period-columns", default=None, metavar="KEY,VALUE", help="default: the first two")
    parser.add_argument("--control", default=None, metavar="ARM", help="arm to compare with; default: the first")
    parser.add_argument("--key", choices=("request", "entity", "session"), default=None, help="default: as recorded")
    parser.add_argument("--within-seconds", type=float, default=None, help="wait so long for rewards; 0: not at all")
    parser.add_argument(
        "--missing-reward", type=float, default=None, metavar="R", help="reward of requests without one"
    )
    parser.add_argument("--alpha", type=fraction, default=0.05, help="one minus the coverage; default: 0.05")
    parser.add_argument("--tightest-at", type=positive, default=TIGHTEST_AT, metavar="N",
                        help="keys at which the confidence sequence is tightest; default: 10000")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _check(arguments: argparse.Namespace) -> None:
    """Refuses options that would be left out."""
    of_rewards = (
        "policy", "clip", "pre_period", "pre_period_columns", "control", "key", "within_seconds", "missing_reward",
    )  # fmt: skip
    given = [name for name in of_rewards if getattr(arguments, name) not in (None, [])]
    if arguments.experiment.startswith(PREFIX) and given:
        raise UsageError(f"{given[0].replace('_', '-')}: given, but a shadow has no rewards: its answers are compared")
    if arguments.clip is not None and not arguments.policy:
        raise UsageError("clip: given without --policy, whose weights it is for")
    if arguments.pre_period_columns is not None and arguments.pre_period in (None, "journal", "none"):
        raise UsageError("pre-period-columns: given without a file in --pre-period")
    if arguments.within_seconds is not None and not 0 <= arguments.within_seconds < math.inf:
        raise UsageError(f"within-seconds: {arguments.within_seconds:g} given, a number of at least 0 is needed")


def _analyse(database: JournalDatabase, arguments: argparse.Namespace) -> Any:
    one = find(catalogue(database), arguments.experiment)
    settings = _settings(one, arguments)
    policies = [target_policy(text, settings.arms) for text in arguments.policy]
    pre_period = _pre_period(database, settings, arguments)
    if arguments.output is not None:
        new_folder(arguments.output)
    analysis = analyse(database, settings, pre_period=pre_period, policies=policies)
    sections = analysis_sections(analysis)
    guardrails = counted_guardrails(database, one.id, settings.arms)
    if guardrails:
        place = next(place for place, section in enumerate(sections) if section.title == "Guardrails")
        sections[place] = guardrail_section(guardrails)
    facts = _facts(one, settings, database.url)
    data = as_data(analysis) | {"status": one.status, "counted_guardrails": as_data(guardrails)}
    series = data.pop("series")
    if arguments.output is None:
        if not arguments.json:
            _print(one.id, facts, sections)
            print("\n--output FOLDER writes this with pictures")  # noqa: T201
        return data
    events = list(ExperimentStore(database).events(one.id))
    folder = arguments.output
    drawn = _drawn(analysis, folder)
    if one.kind == "canary" and draw_canary(events, folder / "canary.png", title=one.id):
        drawn.append("canary")
        sections.insert(1, Section(title="Steps", picture="canary"))
    if "shares" in drawn:
        sections.insert(1, Section(title="Shares", picture="shares"))
    report = write_report(
        folder, title=f"Experiment {one.id}", facts=facts, sections=sections, numbers=data | {"series": series},
        pictures=drawn,
    )  # fmt: skip
    if not arguments.json:
        _print(one.id, facts, sections)
        print(f"\nreport: {report}")  # noqa: T201
    return data


def _analyse_shadow(database: JournalDatabase, arguments: argparse.Namespace) -> Any:
    shadow = find_shadow(shadow_models(database), arguments.experiment)
    if arguments.output is not None:
        new_folder(arguments.output)
    comparison = compare_shadow(database, shadow)
    sections = shadow_sections(comparison)
    facts = [f"shadow of {shadow.model}", f"{time_text(shadow.first)} to {time_text(shadow.last)} UTC", database.url]
    data = as_data(comparison)
    del data["differences"]
    if arguments.output is not None:
        drawn = (
            ["differences"] if draw_differences(comparison.differences, arguments.output / "differences.png") else []
        )
        title = f"Shadow {shadow.id.removeprefix(PREFIX)}"
        report = write_report(
            arguments.output, title=title, facts=facts, sections=sections, numbers=data, pictures=drawn
        )
    if not arguments.json:
        _print(shadow.id, facts, sections)
        if arguments.output is not None:
            print(f"\nreport: {report}")  # noqa: T201
    return data


def _settings(one: KnownExperiment, arguments: argparse.Namespace) -> Settings:
    arms = list(one.arms)
    if not one.requests:
        raise UsageError(f"experiment: {one.id} has no answered requests in this journal yet")
    if arguments.control is not None:
        if arguments.control not in arms:
            hint = nearest(arguments.control, arms)
            raise UsageError(f"control: {arguments.control!r} given{hint}, arms: {', '.join(arms)}")
        arms = [arguments.control, *(arm for arm in arms if arm != arguments.control)]
    spec = one.record.spec if one.record else {}
    key: Key | None = arguments.key or spec.get("key")
    if key is None:
        key = "entity" if any(arm.with_entity for arm in one.arms.values()) else "request"
    reward = msgspec.convert(spec["reward"], RewardConfig) if spec.get("reward") else None
    within = arguments.within_seconds
    if within is None:
        within = reward.within_seconds if reward else math.inf
    missing = arguments.missing_reward
    if missing is None and reward and spec.get("policy", {}).get("missing_is_zero"):
        missing = reward.low
    if missing is not None and math.isinf(within):
        raise UsageError("missing-reward: --within-seconds says how long a reward is waited for; give it too")
    seen = [arm for arm in one.arms.values() if arm.first is not None and arm.last is not None]
    return Settings(
        experiment=one.id, model=one.model, kind=one.kind, arms=arms, key=key,
        begun=min(arm.first for arm in seen if arm.first is not None),
        until=max(arm.last for arm in seen if arm.last is not None), now=time.time(),
        within_seconds=math.inf if within == 0 else within, missing_reward=missing, alpha=arguments.alpha,
        tightest_at=arguments.tightest_at, clip=arguments.clip,
    )  # fmt: skip


def _pre_period(database: JournalDatabase, settings: Settings, arguments: argparse.Namespace) -> PrePeriod | None:
    source = arguments.pre_period
    if source == "none" or (source is None and not settings.is_clustered):
        return None
    if not settings.is_clustered:
        raise UsageError(
            f"pre-period: {source!r} given, but each request of {settings.experiment} has a key of its own"
        )
    if source in (None, "journal"):
        found = pre_period_of_journal(database, model=settings.model, key=settings.key, before=settings.begun)
        if source is None and not found.values:
            return None  # nobody asked for it
        return found
    columns = None
    if arguments.pre_period_columns is not None:
        columns = tuple(arguments.pre_period_columns.split(","))
        if len(columns) != 2:
            raise UsageError(f"pre-period-columns: {arguments.pre_period_columns!r} given, KEY,VALUE is needed")
    return pre_period_of_file(Path(source), columns)


def _facts(one: KnownExperiment, settings: Settings, url: str) -> list[str]:
    waiting = "all rewards so far count"
    if math.isfinite(settings.within_seconds):
        waiting = f"a request is judged {settings.within_seconds:,.0f} s after it arrived"
    return [
        f"{one.kind or 'not recorded'} of {settings.model}, {one.status}; control: {settings.arms[0]}",
        f"{time_text(settings.begun)} to {time_text(settings.until)} UTC; key: {settings.key}; {waiting}",
        url,
    ]


def _drawn(analysis: Analysis, folder: Path) -> list[str]:
    pictures = {"effects": draw_effects, "shares": draw_shares, "rewards": draw_rewards}
    return [name for name, draw in pictures.items() if draw(analysis, folder / f"{name}.png")]


def _print(title: str, facts: list[str], sections: list[Section]) -> None:
    print(plain(title))  # noqa: T201
    for fact in facts:
        print(plain(fact))  # noqa: T201
    print_sections([section for section in sections if section.header or section.lines])
