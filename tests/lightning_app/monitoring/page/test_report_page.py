"""The page of a report: complete, in order, safe with any names, small, and whole in a file."""

import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from lightning_app.drift.result import ColumnDrift, DriftResult
from lightning_app.monitoring.page.report_page import write_html
from lightning_app.monitoring.page.verdict import verdict
from lightning_app.monitoring.report.structs import MonitorReport, WindowPoint
from tests.lightning_app.monitoring.page.sample_reports import (
    number_column,
    quiet_report,
    sample_report,
    silent_report,
)

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x00\x1b[2J\u202e&amp;"
_VOID = {"meta", "br", "link", "wbr"}


class _Page(HTMLParser):
    """Elements of a page; fails where they are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def test_sections_come_in_the_order_in_which_they_are_needed() -> None:
    text = write_html(sample_report())
    page = _Page(text)
    anchors = [attributes["id"] for tag, attributes in page.attributes if tag == "section"]
    order = ["alerts", "quality", "traffic", "drift", "history", "slices", "contract", "events", "notes"]
    assert anchors == [f"bikes-{name}" for name in order]
    assert text.index('class="sentence"') < text.index('id="bikes-alerts"')
    jumps = [attributes["href"] for tag, attributes in page.attributes if tag == "a"]
    assert jumps == [f"#{anchor}" for anchor in anchors]


def test_verdict_says_what_is_wrong_since_when_and_the_likely_cause() -> None:
    judged = verdict(sample_report())
    assert judged.status == "bad"
    assert "mae is 52.3 (49.9 to 54.7), worse than 40.2 on held-out rows, since 16 Nov 2026" in judged.text
    assert "temp, season and prediction.cnt have drifted since 9 Nov 2026" in judged.text
    assert "likely cause: temp (moved down by 0.9 sd)" in judged.text


def test_verdict_rests_on_the_last_window_whose_outcomes_are_known() -> None:
    report = sample_report()
    version = report.versions[0]
    early = tuple(replace(one, is_mature=False, estimated=()) for one in version.quality)
    report = replace(report, versions=(replace(version, quality=early),), alerts=())
    assert "mae was 48.7 (46.3 to 51.2) on 19 Nov 2026, worse than 40.2" in verdict(report).text
    unknown = tuple(replace(point, quality=None) for point in report.history)
    judged = verdict(replace(report, history=unknown))
    assert judged.status == "watch"
    assert "worse" not in judged.text


@pytest.mark.parametrize(
    ("report", "status", "words"),
    [
        (quiet_report(), "good", "No drift in 1 column of prices@1; too few outcomes are known"),
        (silent_report(), "unknown", "No answer of idle in the window"),
    ],
)
def test_verdict_of_calm_and_silent_models(report: MonitorReport, status: str, words: str) -> None:
    judged = verdict(report)
    assert judged.status == status
    assert words in judged.text


def test_verdict_names_a_firing_alert_even_if_nothing_else_is_wrong() -> None:
    report = replace(quiet_report(), alerts=sample_report().alerts)
    judged = verdict(report)
    assert judged.status == "bad"
    assert "1 alert fires: mae-too-high" in judged.text


def _with_evil_names(report: MonitorReport) -> MonitorReport:
    """The report with hostile text wherever a text is."""

    def changed(value):
        if isinstance(value, str):
            return value if value in keep else f"{value}{EVIL}"
        if isinstance(value, list):
            return [changed(one) for one in value]
        if isinstance(value, dict):
            return {key if key in fields else f"{key}{EVIL}": changed(one) for key, one in value.items()}
        return value

    data = msgspec.to_builtins(report)
    fields = set()
    keep = {"input", "prediction", "outcome", "number", "category", "lower", "higher", "firing", "pending", "resolved",
            "inactive", "first answer", "promoted", "retraining", "experiment", "column", "slice"}  # fmt: skip

    def collect(value):
        if isinstance(value, list):
            for one in value:
                collect(one)
        if isinstance(value, dict):
            fields.update(value)
            for one in value.values():
                collect(one)

    collect(data)
    free = {name for point in data["history"] for name in (*point["psi"], *point["missing"])}
    fields -= free | {"season=winter", "season=autumn", "season=spring"}
    return msgspec.convert(changed(data), MonitorReport)


def test_names_and_categories_of_users_never_become_markup() -> None:
    report = _with_evil_names(sample_report())
    text = write_html(report, title=f"title {EVIL}")
    page = _Page(text)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not [name for _, attributes in page.attributes for name in attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text  # as text, which is what it is
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    anchors = [attributes["id"] for _, attributes in page.attributes if "id" in attributes]
    assert len(set(anchors)) == len(anchors)
    assert not [anchor for anchor in anchors if re.search(r"[\s<>\"'%]", str(anchor))]


def test_page_asks_nothing_of_any_network_and_runs_no_script() -> None:
    text = write_html(sample_report(), quiet_report(), silent_report())
    page = _Page(text)
    assert not {"script", "img", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    targets = [value for _, attributes in page.attributes for key in ("href", "src") if (value := attributes.get(key))]
    assert all(target.startswith("#") for target in targets)
    assert "url(" not in text
    assert "@import" not in text
    assert "style" not in {name for _, attributes in page.attributes for name in attributes}
    policies = [attributes["content"] for _, attributes in page.attributes if "http-equiv" in attributes]
    assert policies[0].startswith("default-src 'none'; style-src 'sha256-")


def test_pictures_have_text_and_tables_have_headers() -> None:
    page = _Page(write_html(sample_report()))
    pictures = [attributes for tag, attributes in page.attributes if tag == "svg"]
    assert all(one.get("aria-label") or one.get("aria-hidden") for one in pictures)
    assert page.tags.count("table") == page.tags.count("caption") == page.tags.count("thead")
    assert all(attributes.get("scope") for tag, attributes in page.attributes if tag == "th")
    assert "temp, reference and window: median" in str([one.get("aria-label") for one in pictures])


def test_a_model_without_a_reference_says_so() -> None:
    report = quiet_report()
    report = replace(report, versions=(replace(report.versions[0], drift=None, notes=("the package has none",)),))
    assert "cannot be judged without a reference" in verdict(report).text
    text = _Page(write_html(report)).text
    assert "prices@1: the package has none" in text


def test_too_few_rows_say_how_many_are_needed() -> None:
    report = quiet_report()
    drift = DriftResult(rows=20, rows_reference=500, columns=(), alpha=0.05, drifted=False, rows_needed=180)
    report = replace(report, versions=(replace(report.versions[0], drift=drift),))
    assert "20 rows, 180 are needed" in verdict(report).text
    assert "Not judged: 20 rows, the tests need 180." in _Page(write_html(report)).text


@pytest.mark.parametrize(("num_tested", "status"), [(0, "unknown"), (1, "good")])
def test_columns_that_have_too_few_rows_for_a_test_are_not_called_undrifted(num_tested: int, status: str) -> None:
    draw = np.random.default_rng(2)
    columns = tuple(
        number_column(name, draw.normal(size=400), draw.normal(30, 1, 400), p_value=0.4 if place < num_tested else None)
        for place, name in enumerate(("co2.mean", "co2.last"))
    )
    drift = DriftResult(rows=400, rows_reference=400, columns=columns, alpha=0.05, drifted=False)
    report = quiet_report()
    judged = verdict(replace(report, versions=(replace(report.versions[0], drift=drift),)))
    assert judged.status == status
    assert f"{2 - num_tested} of 2 columns have too few rows for a test" in judged.text
    assert ("No drift in 1 column of" in judged.text) == (status == "good")


def test_a_hundred_columns_and_sixty_windows_stay_below_two_megabytes() -> None:
    draw = np.random.default_rng(1)
    report = sample_report()
    names = [f"a_rather_long_column_name_{place}" for place in range(100)]
    columns = tuple(
        number_column(name, draw.normal(size=500), draw.normal(size=500), bins=64, psi=0.3, drifted=place < 50)
        for place, name in enumerate(names)
    )
    drift = DriftResult(rows=500, rows_reference=500, columns=columns, alpha=0.05, drifted=True)
    first = report.history[0]
    history = tuple(
        WindowPoint(
            window=replace(first.window, since=day * 86_400.0, until=(day + 1) * 86_400.0), label="bikes@4",
            requests=9, rows=9, psi=dict.fromkeys(names, 0.2), psi_expected=dict.fromkeys(names, 0.1),
            drifted=tuple(names), quality=first.quality,
        )
        for day in range(60)
    )  # fmt: skip
    versions = (replace(report.versions[0], drift=drift),)
    text = write_html(replace(report, versions=versions, history=history))
    assert len(text.encode()) < 2_000_000
    _Page(text)


@pytest.mark.parametrize("counts", [(0.0, 0.0), (5.0, 0.0)])
def test_columns_of_one_value_or_none_are_drawn(counts: tuple[float, float]) -> None:
    columns = (
        ColumnDrift(column="constant", role="input", kind="number", rows=5, edges=(1.0, 1.0, 1.0),
                    labels=("1", "1"), reference_counts=(5.0, 0.0), current_counts=counts),
        ColumnDrift(column="one", role="input", kind="category", rows=5, labels=("a",), reference_counts=(5.0,),
                    current_counts=(counts[0],)),
    )  # fmt: skip
    report = quiet_report()
    drift = DriftResult(rows=5, rows_reference=5, columns=columns, alpha=0.05, drifted=False)
    text = write_html(replace(report, versions=(replace(report.versions[0], drift=drift),)))
    assert "nan" not in _Page(text).text
    assert not re.search(r'd="[^"]*(nan|inf)', text)
