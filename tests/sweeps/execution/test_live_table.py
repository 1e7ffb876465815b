import io
import re
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console

from sweeps.execution.live_table import LiveTable, print_result
from sweeps.execution.running_trial import RunningTrial
from sweeps.reporting.duration import format_duration
from sweeps.reporting.study_report import Search
from tests.sweeps.finished import SPACE, suggest

METRICS = {"val/accuracy": "maximize"}


def shown_by(*, terminal: bool) -> tuple[LiveTable, optuna.Study, io.StringIO]:
    study, out = optuna.create_study(direction="maximize"), io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, color_system=None)
    table = LiveTable(study=study, metrics=METRICS, num_trials=5, workers=2, console=console)
    return table, study, out


def started(study: optuna.Study, device: int = 0) -> RunningTrial:
    trial = study.ask()
    return RunningTrial(trial, ("maximize",), device, {})


def test_without_a_terminal_each_trial_is_a_line_when_it_has_ended() -> None:
    table, study, out = shown_by(terminal=False)
    first, second = started(study), started(study, 1)
    with table:
        assert not table.update({0: first, 1: second})
        assert out.getvalue() == ""
        study.tell(first.trial, 0.75)
        assert table.update({1: second})
        study.tell(second.trial, state=TrialState.FAIL)
        assert table.update({})
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("trial 0 complete: val/accuracy 0.75 in 0 s; 1 of 5 done, 0 pruned, 0 failed, best 0.75")
    assert lines[1].startswith("trial 1 fail in 0 s; ")
    assert "2 of 5 done, 0 pruned, 1 failed" in lines[1]


def test_a_trial_that_waits_for_another_coordinator_is_not_called_ended() -> None:
    table, study, out = shown_by(terminal=False)
    with table:
        table.update({0: started(study)})
        table.update({})
    assert out.getvalue() == ""


def test_a_terminal_shows_running_trials_with_their_last_validation() -> None:
    table, study, out = shown_by(terminal=True)
    running = started(study)
    with table:
        table.update({0: running})
        time.sleep(0.4)
        running.last, running.best, running.step = [0.5], 0.6, 7
        table.update({0: running})
    text = out.getvalue()
    assert "1 running, 0 of 5 done" in text
    assert "starts" in text
    assert re.search(r"\b0 +7 +0\.5 +0\.6 ", text)


def test_a_burst_of_reports_does_not_redraw_each_time() -> None:
    table, study, out = shown_by(terminal=True)
    running = started(study)
    with table:
        table.update({0: running})
        size = len(out.getvalue())
        for _ in range(50):
            table.update({0: running})
        assert len(out.getvalue()) < size + 2000


def test_the_rest_is_judged_by_the_usual_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    table, study, _ = shown_by(terminal=False)
    running = started(study)
    with table:
        assert table.seconds_left() is None
        table.update({0: running})
        time.sleep(0.3)
        study.tell(running.trial, 1.0)
        table.update({})
        usual = study.trials[0].duration.total_seconds()  # type: ignore[union-attr]
        assert table.seconds_left() == pytest.approx(4 * usual / 2)  # four are left for two workers


def test_a_trial_that_was_pruned_says_why_and_how_long_it_ran() -> None:
    table, study, out = shown_by(terminal=False)
    running = started(study)
    with table:
        table.update({0: running})
        running.trial.report(0.1234567, 3)
        running.trial.set_user_attr("why", "bound: parameters")
        running.trial.set_user_attr("seconds", 200)
        study.tell(running.trial, state=TrialState.PRUNED)
        table.update({})
        assert table.seconds_left() == pytest.approx(4 * 200 / 2)
    start = "trial 0 pruned: broke the bound on parameters, last val/accuracy 0.123457 in 3 min 20 s; 1 of 5 done"
    assert out.getvalue().startswith(start)


def test_a_trial_that_is_taken_up_has_run_before() -> None:
    table, study, _ = shown_by(terminal=False)
    first, second = started(study), started(study, 1)
    second.trial.set_user_attr("seconds", 60.0)
    taken_up = RunningTrial(optuna.Trial(study, second.trial._trial_id), ("maximize",), 1, {})
    with table:
        table.update({0: first, 1: taken_up})
        first.trial.set_user_attr("seconds", 100.0)
        study.tell(first.trial, 1.0)
        table.update({1: taken_up})
        assert table.seconds_left() == pytest.approx((40 + 3 * 100) / 2, abs=2)


def test_the_result_counts_causes_and_rounds_values_as_the_report_does(tmp_path: Path) -> None:
    study, out = optuna.create_study(direction="maximize"), io.StringIO()
    for value in (0.000123456, None):
        trial = study.ask()
        suggest(trial)
        if value is None:
            trial.set_user_attr("why", "pruner")
        study.tell(trial, value, state=TrialState.PRUNED if value is None else TrialState.COMPLETE)
    console = Console(file=out, width=200, color_system=None)
    print_result(study, Search(SPACE, METRICS), tmp_path, console)
    assert out.getvalue().startswith("1 complete, 1 pruned\n1 pruned: 1 by the pruner\n")
    assert "0.000123456" in out.getvalue()


def test_spans_are_said_in_words() -> None:
    assert [format_duration(span) for span in (0.4, 42, 200, 7500)] == ["0 s", "42 s", "3 min 20 s", "2 h 5 min"]
