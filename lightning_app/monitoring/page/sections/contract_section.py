"""Contract: rules of the data contract that requests violate, over time."""

from lightning_app.monitoring.page import words
from lightning_app.monitoring.page.markup import Markup, element, table
from lightning_app.monitoring.page.pictures.sparkline import sparkline
from lightning_app.monitoring.page.sections.section import section, window_name
from lightning_app.monitoring.report.structs import ContractFinding, MonitorReport


def contract_section(report: MonitorReport) -> Markup | None:
    """The section; None if nothing was violated.

    Args:
        report: The report.
    """
    by_rule: dict[tuple[str, str | None], list[ContractFinding]] = {}
    for finding in report.contract:
        by_rule.setdefault((finding.rule, finding.column), []).append(finding)
    broken = {rule: found for rule, found in by_rule.items() if any(one.violations for one in found)}
    if not broken:
        return None
    windows = sorted({point.window.since for point in report.history} | {one.window.since for one in report.contract})
    head = [("Rule", "broad"), ("Column", None), ("Share over time", "picture"), ("First violated (UTC)", None),
            ("Last window", "number"), ("Rows violating it", "number")]  # fmt: skip
    rows = []
    for (rule, column), found in sorted(broken.items(), key=lambda one: -sum(each.violations for each in one[1])):
        shares: dict[float, float] = {}
        for one in found:
            shares[one.window.since] = one.violations / one.rows if one.rows else 0.0
        values = [shares.get(since, 0.0) for since in windows]
        total = sum(one.violations for one in found)
        first = min(one.window.since for one in found if one.violations)
        text = f"share of rows that violate {rule}: {words.share(values[-1])} in the last of {len(windows)} windows"
        rows.append([
            rule, column or words.NOTHING,
            sparkline(values, label=text, dots=[value > 0 for value in values], least=0.01, width=150),
            window_name(report, first), words.share(values[-1]), f"{total:,}",
        ])  # fmt: skip
    lead = element("p", {"class": "quiet"}, "Requests that break what the package's data contract promises.")
    caption = f"Violations of the data contract of {report.model}"
    return section(report, "contract", "Data contract", lead, table(head, rows, caption=caption))
