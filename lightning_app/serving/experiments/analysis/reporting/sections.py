"""Sections of an analysis: tables and sentences, printed on a terminal or written to report.md."""

from collections.abc import Sequence

from msgspec import Struct

from lightning_app.serving.experiments.analysis.guardrails import Guardrail
from lightning_app.serving.experiments.analysis.off_policy.estimates import OffPolicy, Value
from lightning_app.serving.experiments.analysis.reporting.formats import number, p_value, rate, signed, span
from lightning_app.serving.experiments.analysis.results import Analysis
from lightning_app.serving.experiments.analysis.shadow import ShadowComparison
from lightning_app.serving.experiments.analysis.statistics.effects import Effect
from lightning_app.serving.experiments.analysis.statistics.sample_ratio import SampleRatio

_MISMATCH = 0.01


class Section(Struct, frozen=True, kw_only=True):
    """A section.

    Attributes:
        title: Its heading.
        header: Names of the columns; empty without a table.
        rows: The table.
        lines: Sentences after it.
        picture: File name of its picture without the suffix; None without.
    """

    title: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    lines: Sequence[str] = ()
    picture: str | None = None


def analysis_sections(analysis: Analysis) -> list[Section]:
    """Sections of an analysis, the most important first.

    Args:
        analysis: The analysis.
    """
    settings = analysis.settings
    header = ["arm", "requests", "degraded", "waiting", "no reward", "counted", "mean", "sd"]
    rows = [
        [
            arm.arm, f"{arm.requests:,}", f"{arm.degraded:,}", f"{arm.waiting:,}", f"{arm.unrewarded:,}",
            f"{arm.rewarded:,}", number(arm.mean), number(arm.deviation),
        ]
        for arm in analysis.arms
    ]  # fmt: skip
    sections = [Section(title="Arms", header=header, rows=rows, picture="rewards")]
    if analysis.effects:
        sections.insert(0, _effects(analysis.effects, settings.arms[0], settings.alpha))
    if analysis.cuped is not None:
        cuped = analysis.cuped
        lines = [f"{cuped.matched:,} of {cuped.keys:,} keys with a reward have a value in: {cuped.source}"]
        if cuped.left_out:
            lines.append(f"{cuped.left_out:,} rows of the file have no number and are left out")
        header = ["arm", "effect", "sequence", "one look", "variance"]
        rows = [
            [effect.arm, signed(effect.estimate), span(effect.sequence), span(effect.interval),
             f"{-100 * (effect.variance_reduction or 0):+.1f} %"]
            for effect in cuped.effects
        ]  # fmt: skip
        sections.append(Section(title="Effect less what the pre-period explains (CUPED)", header=header, rows=rows,
                                lines=lines))  # fmt: skip
    sections.append(_sample_ratio(analysis.sample_ratio, settings.key))
    sections.append(guardrail_section(analysis.guardrails))
    sections += [_off_policy(estimate) for estimate in analysis.off_policy]
    if analysis.notes:
        sections.append(Section(title="Notes", lines=analysis.notes))
    return sections


def guardrail_section(guardrails: Sequence[Guardrail]) -> Section:
    """Latency, failures and degraded answers.

    Args:
        guardrails: By arm, control first.
    """
    counted = any(guardrail.failures is not None for guardrail in guardrails)
    header = ["arm", "requests", "p50 ms", "p95 ms", "p99 ms", "failed", "degraded"]
    rows = []
    for guardrail in guardrails:
        failed = "-"
        if guardrail.failures is not None:
            failed = rate(guardrail.failures, guardrail.requests)
            if guardrail.failures_p_value is not None:
                failed += f" (p {p_value(guardrail.failures_p_value)})"
        latencies = [number(guardrail.latencies_ms.get(name), digits=3) for name in ("p50", "p95", "p99")]
        rows.append([
            guardrail.arm, f"{guardrail.requests:,}", *latencies, failed, rate(guardrail.degraded, guardrail.requests),
        ])  # fmt: skip
    source = (
        "all requests, as workers counted them" if counted else "journalled answers; failed requests are not counted"
    )
    return Section(title="Guardrails", header=header, rows=rows, lines=[f"From {source}."])


def shadow_sections(comparison: ShadowComparison) -> list[Section]:
    """Sections of the comparison of a shadow.

    Args:
        comparison: The comparison.
    """
    shadow = comparison.shadow
    agreement = "-" if comparison.agreement is None else f"{comparison.agreement:.2%}"
    lines = [
        f"{shadow.requests:,} requests, {shadow.errors:,} errors of the shadow; {comparison.compared:,} compared: "
        f"{agreement} agree (numbers within 1 %)"
    ]
    if comparison.unmatched:
        lines.append(f"{comparison.unmatched:,} requests have no journalled answer (not sampled, or pruned)")
    if comparison.unreadable:
        lines.append(
            f"{comparison.unreadable:,} requests have answers with other rows or columns, or of unknown formats"
        )
    rows = [
        [
            name, f"{column.rows:,}", f"{column.agreement:.2%}", signed(column.mean_difference),
            *(signed(column.quantiles.get(level)) for level in ("p5", "p50", "p95")),
        ]
        for name, column in comparison.columns.items()
    ]  # fmt: skip
    header = ["column", "rows", "agree", "mean difference", "p5", "p50", "p95"]
    latencies = [
        [name, *(number(quantiles.get(level), digits=3) for level in ("p50", "p95", "p99"))]
        for name, quantiles in comparison.latencies_ms.items()
    ]
    return [
        Section(title="Answers", header=header, rows=rows, lines=lines, picture="differences"),
        Section(title="Latency", header=["of", "p50 ms", "p95 ms", "p99 ms"], rows=latencies),
    ]


def _effects(effects: Sequence[Effect], control: str, alpha: float) -> Section:
    level = f"{100 * (1 - alpha):g} %"
    rows = [
        [
            effect.arm, signed(effect.estimate), "-" if effect.relative is None else f"{effect.relative:+.1%}",
            span(effect.sequence), p_value(effect.always_p_value), span(effect.interval), p_value(effect.holm_p_value),
        ]
        for effect in effects
    ]  # fmt: skip
    header = ["arm", "effect", "rel.", "sequence", "p", "one look", "p (Holm)" if len(effects) > 1 else "p"]
    lines = [_verdict(effect, control) for effect in effects]
    lines.append(
        f"Difference of mean rewards from {control}. The confidence sequence ({level}) and its p-value hold at any "
        "number of looks; the interval of one look holds if this is the only look."
    )
    return Section(title="Effect", header=header, rows=rows, lines=lines, picture="effects")


def _verdict(effect: Effect, control: str) -> str:
    if effect.sequence[0] > 0:
        return f"{effect.arm} is better than {control}: the confidence sequence excludes 0."
    if effect.sequence[1] < 0:
        return f"{effect.arm} is worse than {control}: the confidence sequence excludes 0."
    return f"No difference between {effect.arm} and {control} is shown yet."


def _sample_ratio(ratio: SampleRatio, key: str) -> Section:
    names = {"request": "requests", "entity": "entities", "session": "sessions"}
    rows = [[arm, f"{count:,}", f"{ratio.expected[arm]:,.0f}"] for arm, count in ratio.units.items()]
    test = "chi-square" if ratio.chi_square is not None else "weights"
    lines = [
        f"Sequential test, valid at any time: p = {p_value(ratio.p_value)}; one look ({test}): "
        f"p = {p_value(ratio.fixed_p_value)}."
    ]
    if ratio.p_value < _MISMATCH:
        lines.insert(
            0,
            "SAMPLE-RATIO MISMATCH: arms were not chosen with the journalled probabilities; do not trust the effects.",
        )
    return Section(title="Assignment", header=["arm", names.get(key, "keys"), "expected"], rows=rows, lines=lines)


def _off_policy(estimate: OffPolicy) -> Section:
    def row(name: str, value: Value) -> list[str]:
        return [name, number(value.estimate), span(value.interval).replace("+", ""), signed(value.gain),
                span(value.gain_interval)]  # fmt: skip

    rows = [
        row("IPS", estimate.ips),
        row("self-normalised IPS", estimate.snips),
        row("doubly robust", estimate.doubly_robust),
    ]
    lines = [
        f"What was run has a mean reward of {number(estimate.logged)}. The {estimate.requests:,} requests are worth "
        f"{estimate.effective_size:,.0f} of the policy's own; largest weight {number(estimate.largest_weight)}."
    ]
    if estimate.clip is None:
        lines.append("No weight was clipped.")
    else:
        lines.append(f"{estimate.num_clipped:,} weights above {estimate.clip:g} were clipped.")
    if estimate.left_out:
        lines.append(
            f"{estimate.left_out:,} requests lack columns of the policy, or numbers in them, and are left out."
        )
    if estimate.filled:
        lines.append(f"For {estimate.filled:,} requests means took the place of missing values, as in a server.")
    for arm, share in estimate.unsupported.items():
        lines.append(
            f"WARNING: the policy chooses {arm} for {share:.1%} of the requests, the journal never: not estimable."
        )
    header = ["estimate", "mean reward", "interval", "gain", "interval of the gain"]
    return Section(title=f"Policy: {estimate.policy}", header=header, rows=rows, lines=lines)
