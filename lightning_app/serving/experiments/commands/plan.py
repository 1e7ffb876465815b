"""Experiment command: `lightning-app experiment plan` says how many requests and days an experiment needs."""

import argparse
import math
import time

from lightning_app.errors import UsageError
from lightning_app.serving.experiments.analysis.past_rewards import past_rewards
from lightning_app.serving.experiments.analysis.reporting.formats import number
from lightning_app.serving.experiments.analysis.reporting.sections import Section
from lightning_app.serving.experiments.analysis.results import as_data
from lightning_app.serving.experiments.analysis.statistics.power import Plan, plan
from lightning_app.serving.experiments.commands.options import fraction, opened, positive, print_sections
from lightning_app.terminal import plain, print_json
from lightning_app.verb_parser import VerbParser

_TOLERANCE = 1e-9


def run(args: list[str]) -> None:
    """Runs the sub-command; see `--help`.

    Args:
        args: Command line, verb first.
    """
    arguments = _parser(args[0]).parse_args(args[1:])
    shares = _shares(arguments.shares)
    baseline, deviation, per_day, source = _baseline(arguments)
    effect = arguments.effect
    if arguments.relative:
        if baseline == 0:
            raise UsageError("relative: the baseline is 0; give --effect in units of the reward")
        effect *= abs(baseline)
    is_rate = arguments.rate is not None
    if is_rate and not 0 < baseline + effect < 1:
        raise UsageError(f"effect: {effect:g} on a rate of {baseline:g} given, the sum has to lie between 0 and 1")
    planned = plan(
        baseline=baseline, deviation=deviation, effect=effect, alpha=arguments.alpha, power=arguments.power,
        shares=shares, requests_per_day=per_day, within_seconds=arguments.within_seconds, is_rate=is_rate,
    )  # fmt: skip
    if arguments.json:
        print_json(as_data(planned))
        return
    for line in _lines(planned, source, per_day):
        print(plain(line))  # noqa: T201
    print_sections([_section(planned)])


def _parser(verb: str) -> VerbParser:
    parser = VerbParser(
        verb, description=__doc__,
        epilog="Give --rate, or --mean and --sd, or --journal and --model. Several arms share alpha (Bonferroni).",
    )  # fmt: skip
    parser.add_argument("--rate", type=fraction, default=None, help="mean of rewards that are 0 or 1")
    parser.add_argument("--mean", type=float, default=None, help="mean of other rewards")
    parser.add_argument("--sd", type=positive, default=None, help="their standard deviation")
    parser.add_argument("--journal", metavar="URL", default=None, help="take them from the rewards of a model")
    parser.add_argument("--model", default=None, help="the model")
    parser.add_argument("--days", type=positive, default=14.0, help="how far to look back; default: 14")
    parser.add_argument("--effect", type=float, required=True, help="least difference that is to be found")
    parser.add_argument("--relative", action="store_true", help="the effect is a share of the baseline")
    parser.add_argument("--alpha", type=fraction, default=0.05, help="default: 0.05")
    parser.add_argument("--power", type=fraction, default=0.8, help="default: 0.8")
    parser.add_argument("--shares", default="0.5,0.5", help="of the arms, control first; default: 0.5,0.5")
    parser.add_argument("--requests-per-day", type=positive, default=None, metavar="N", help="of all arms")
    parser.add_argument("--within-seconds", type=float, default=0.0, help="how long rewards are waited for")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _shares(text: str) -> list[float]:
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"shares: {text!r} given, numbers such as 0.5,0.5 are needed") from error
    if len(shares) < 2 or min(shares) <= 0 or abs(math.fsum(shares) - 1) > _TOLERANCE:
        raise UsageError(f"shares: {text!r} given, at least two numbers above 0 that sum to 1 are needed")
    return shares


def _baseline(arguments: argparse.Namespace) -> tuple[float, float, float | None, str]:
    """Mean, standard deviation, requests per day, and where they are from."""
    given = [arguments.rate is not None, arguments.mean is not None or arguments.sd is not None,
             arguments.journal is not None]  # fmt: skip
    if sum(given) != 1 or (given[1] and None in (arguments.mean, arguments.sd)):
        raise UsageError("experiment plan: give --rate, or --mean and --sd, or --journal and --model")
    if arguments.model is not None and arguments.journal is None:
        raise UsageError("model: given without --journal, from which its rewards would be read")
    if arguments.effect == 0 or not math.isfinite(arguments.effect):
        raise UsageError(f"effect: {arguments.effect:g} given, a number other than 0 is needed")
    if arguments.rate is not None:
        return arguments.rate, math.sqrt(arguments.rate * (1 - arguments.rate)), arguments.requests_per_day, "given"
    if arguments.journal is None:
        return arguments.mean, arguments.sd, arguments.requests_per_day, "given"
    if arguments.model is None:
        raise UsageError("experiment plan: --journal needs --model")
    with opened(arguments.journal) as database:
        past = past_rewards(database, arguments.model, since=time.time() - 86_400 * arguments.days)
    if not past.deviation:
        what = f"{past.rewarded:,} of {past.requests:,} requests have a reward"
        raise UsageError(
            f"model: {arguments.model}: {what} in the last {arguments.days:g} days, and none vary: give --sd"
        )
    source = f"{past.rewarded:,} rewards of {past.requests:,} requests of {arguments.model}, {past.days:.1f} days"
    per_day = arguments.requests_per_day or past.requests / past.days * past.rewarded / past.requests
    return past.mean, past.deviation, per_day, source


def _lines(planned: Plan, source: str, per_day: float | None) -> list[str]:
    lines = [
        f"baseline {number(planned.baseline)}, deviation {number(planned.deviation)} ({source}); effect "
        f"{planned.effect:+.4g}; alpha {planned.alpha:g}; power {planned.power:g}"
    ]
    if per_day:
        lines.append(f"{per_day:,.0f} rewarded requests a day")
    if planned.waiting_days:
        lines.append(f"the last rewards come {planned.waiting_days:.2g} days after the last request")
    return lines


def _section(planned: Plan) -> Section:
    def row(name: str, arms: list[int] | None, total: int, days: str) -> list[str]:
        each = " ".join(f"{count:,}" for count in arms) if arms else ""
        wait = "-" if planned.days is None else f"{planned.days[days] + planned.waiting_days:,.1f}"
        return [name, each, f"{total:,}", wait]

    rows = [
        row("one look at the end", planned.fixed, sum(planned.fixed), "fixed"),
        row("sequence: same power", planned.sequential, sum(planned.sequential), "sequential"),
        row("sequence: on average", None, planned.expected, "expected"),
        row("on average, twice the effect", None, planned.expected_if_twice, "expected_if_twice"),
    ]
    lines = [
        "A sequence may be looked at at any time, and ends as soon as it excludes 0.",
        f"Analyse it with --tightest-at {sum(planned.fixed)}.",
    ]
    return Section(title="Plan", header=["", "each arm", "requests", "days"], rows=rows, lines=lines)
