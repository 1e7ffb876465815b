"""`report.md` of a study: results, search settings, failures, pictures and a table of all trials."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from lightning_app.atomic_write import write_whole
from sweeps.reporting.best_trials import best_section, reevaluation_section, top_section
from sweeps.reporting.duration import format_duration
from sweeps.reporting.importance import Branch, importances
from sweeps.reporting.markdown import cell, table
from sweeps.reporting.outcome import causes, last_error, latest_fit_name, seconds_of, why
from sweeps.reporting.parallel_coordinates import draw_parallel_coordinates
from sweeps.reporting.pictures import draw_curves, draw_history, draw_importances, draw_pareto, draw_slices
from sweeps.reporting.ranking import counted, is_feasible, ranked
from sweeps.reporting.selection import Best, Selection, best_of
from sweeps.reporting.trial_table import trial_table, write_trials
from sweeps.space.condition import Condition
from sweeps.space.search_space import Parameter, SearchSpace

_PACKAGES = ("optuna", "lightning", "torch")
_FAILURES = 20


@dataclass(frozen=True)
class Search:
    """How a study searched.

    Attributes:
        space: What varies.
        metrics: Name and direction of each metric.
        settings: Further facts by name, as they are to be read: sampler, pruner, seed, bounds.
        base: The resolved config that the trials vary.
    """

    space: SearchSpace
    metrics: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        path: `report.md`.
        pictures: PNGs by what they show.
        importances: Branches by metric.
    """

    path: Path
    pictures: dict[str, Path]
    importances: dict[str, list[Branch]]


def report(study: optuna.Study, search: Search, folder: Path) -> Report:
    """Writes `report.md`, its pictures and `trials.parquet`; those of an earlier call are replaced.

    Args:
        study: The study; trials may still run.
        search: How it searched.
        folder: Folder of the study.
    """
    trials = study.get_trials(deepcopy=False)
    write_trials(
        trial_table(
            trials, space=search.space, metrics=list(search.metrics), folder=folder, selection=Selection.of(study)
        ),
        folder / "trials.parquet",
    )
    branches = {
        name: importances(trials, search.space, metric=position, direction=direction)
        for position, (name, direction) in enumerate(search.metrics.items())
    }
    best = ranked(study, search.metrics)
    pictures = _draw(trials, best, search, branches, folder / "pictures")
    chosen = best_of(study, search.metrics) if len(search.metrics) == 1 else None
    sections = [
        f"# Study {study.study_name}",
        _summary(trials, best, chosen, search),
        best_section(chosen, metric=next(iter(search.metrics)), space=search.space, base=search.base, folder=folder)
        if chosen
        else "",
        reevaluation_section(Selection.of(study), trials, metric=next(iter(search.metrics))),
        top_section(best, space=search.space, metrics=list(search.metrics), folder=folder, study=study.study_name),
        *(f"## {title}\n\n![{title}](pictures/{path.name})" for title, path in pictures.items()),
        _importances(branches),
        _failures(trials, folder),
        _settings(search),
    ]
    write_whole(folder / "report.md", "\n\n".join(section for section in sections if section) + "\n")
    return Report(folder / "report.md", pictures, branches)


def last_line(log: Path) -> str:
    """The line of a log that says why a trial failed, or its last one."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()] if log.exists() else []
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or [line for line in lines if line] or ["nothing was printed"])[-1][:300]


def _draw(
    trials: Sequence[FrozenTrial],
    best: Sequence[FrozenTrial],
    search: Search,
    branches: Mapping[str, list[Branch]],
    folder: Path,
) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    drawn: dict[str, Path] = {}
    several = len(search.metrics) > 1
    if counted(trials) and several:
        drawn["Pareto front"] = draw_pareto(trials, best, metrics=search.metrics, path=folder / "pareto.png")
    for position, (metric, direction) in enumerate(search.metrics.items()):
        of, suffix = (f" of {metric}", f"_{position}") if several else ("", "")
        if not several and any(trial.value is not None for trial in trials):
            drawn["History"] = draw_history(trials, metric=metric, direction=direction, path=folder / "history.png")
        if branches[metric]:
            path = folder / f"importances{suffix}.png"
            drawn[f"Importances{of}"] = draw_importances(branches[metric], search.space, path=path)
        if counted(trials):
            drawn[f"Parallel coordinates{of}"] = draw_parallel_coordinates(
                trials, search.space, metric=metric, direction=direction, position=position,
                shares=_largest_shares(branches[metric]), path=folder / f"parallel_coordinates{suffix}.png",
            )  # fmt: skip
            drawn[f"Slices{of}"] = draw_slices(
                trials, search.space, metric=metric, direction=direction, position=position,
                path=folder / f"slices{suffix}.png",
            )  # fmt: skip
        if any(len(trial.intermediate_values) > 1 for trial in trials):
            drawn["Curves"] = draw_curves(trials, metric=metric, direction=direction, path=folder / "curves.png")
    return drawn


def _largest_shares(branches: Sequence[Branch]) -> dict[str, float]:
    """The largest importance of each parameter in any branch."""
    found: dict[str, float] = {}
    for branch in branches:
        for key, share in branch.shares.items():
            found[key] = max(share, found.get(key, 0.0))
    return found


def _summary(trials: Sequence[FrozenTrial], best: Sequence[FrozenTrial], chosen: Best | None, search: Search) -> str:
    states = Counter(trial.state.name.lower() for trial in trials)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    lines = [f"Trials: {counts or 'none'}."]
    lines += [f"{text}." for state in (TrialState.PRUNED, TrialState.FAIL) if (text := causes(trials, state))]
    complete = states["complete"]
    broken = sum(trial.state == TrialState.COMPLETE and not is_feasible(trial) for trial in trials)
    if broken:
        lines.append(f"{broken} of the complete ones break a bound; they count neither as best nor for importances.")
    if chosen is not None:
        ((metric, direction),) = search.metrics.items()
        how = f", chosen by {chosen.how}" if chosen.how else ""
        lines.append(f"Best: {chosen.name}, {metric} {chosen.value} ({direction}){how}.")
    elif best:
        lines.append(f"The Pareto front has {len(best)} trials.")
    else:
        lines.append("No complete trial keeps within its bounds." if complete else "No trial is complete.")
    starts = [trial.datetime_start for trial in trials if trial.datetime_start]
    ends = [trial.datetime_complete for trial in trials if trial.datetime_complete]
    if starts and ends:
        spent = sum(seconds_of(trial) or 0.0 for trial in trials)
        first, last = min(starts), max(ends)
        wall = format_duration((last - first).total_seconds())
        lines.append(
            f"From {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S}, {wall}; "
            f"trials ran for {format_duration(spent)}."
        )
    return "\n".join(lines)


def _importances(branches: Mapping[str, list[Branch]]) -> str:
    rows = [
        (metric, branch.title(), str(branch.num_trials), f"`{key}`", f"{share:.3f}")
        for metric, found in branches.items()
        for branch in found
        for key, share in branch.shares.items()
    ]
    if not rows:
        return ""
    return (
        "## Importances in numbers\n\nBy PED-ANOVA, over complete trials that keep within their bounds. Conditional "
        "parameters are judged within the branch that has them; branches with fewer than 10 such trials are left "
        "out.\n\n" + table(("metric", "branch", "trials", "parameter", "share"), rows)
    )


def _failures(trials: Sequence[FrozenTrial], folder: Path) -> str:
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    if not failed:
        return ""
    rows = [
        (
            str(trial.number),
            cell(trial.user_attrs.get("exit_code", "")),
            _cause(trial, log),
            f"`logs/{log.name}`" if log.exists() else "",
        )
        for trial in failed[-_FAILURES:]
        for log in [folder / "logs" / f"{latest_fit_name(trial)}.log"]
    ]
    left = f"The last {_FAILURES} of {len(failed)}.\n\n" if len(failed) > _FAILURES else ""
    return f"## Failed trials\n\n{left}" + table(("trial", "exit code", "why", "log"), rows)


def _cause(trial: FrozenTrial, log: Path) -> str:
    noted = why(trial)
    if noted and noted == last_error(log):
        return f"`{noted}`"
    error = f"`{last_line(log)}`" if log.exists() or not noted else ""
    return ": ".join(text for text in (noted, error) if text)


def _settings(search: Search) -> str:
    rows = [
        *((name, cell(value)) for name, value in search.settings.items()),
        *((f"metric `{name}`", direction) for name, direction in search.metrics.items()),
        *((f"`{parameter.key}`", _range(parameter, search.space)) for parameter in search.space.parameters),
        *((name, version(name)) for name in _PACKAGES),
        ("Python", platform.python_version()),
    ]
    return "## How it searched\n\n" + table(("what", "how"), rows)


def _range(parameter: Parameter, space: SearchSpace) -> str:
    if parameter.choices:
        text = "one of " + ", ".join(cell(choice, parameter) for choice in parameter.choices)
    else:
        step = f", in steps of {parameter.step:g}" if parameter.step else ""
        text = f"{parameter.low:g} to {parameter.high:g}{', by its logarithm' if parameter.log else step}"
    others = {other.key: other for other in space.parameters}
    conditions = [f"`{key}` is {_condition(wanted, others[key])}" for key, wanted in (parameter.when or {}).items()]
    return text + (f", where {' and '.join(conditions)}" if conditions else "")


def _condition(wanted: Condition, parameter: Parameter) -> str:
    return str(wanted) if wanted.values is None else " or ".join(cell(value, parameter) for value in wanted.values)
