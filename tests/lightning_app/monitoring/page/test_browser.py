"""The report in a real browser, as a file: it fits screens and paper, can be read, and asks no network."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightning_app.monitoring.page.report_page import write_html
from tests.chromium import CONTRASTS, chromium, hosts_asked, needs_chromium, problems, show_as
from tests.lightning_app.monitoring.page.sample_reports import quiet_report, sample_report

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(write_html(sample_report(), quiet_report()))
    return path


@pytest.mark.parametrize(("width", "dark"), [(360, False), (400, True), (820, False), (1280, True)])
def test_the_report_fits_its_screen_and_can_be_read(browser: Any, report: Path, width: int, dark: bool) -> None:
    show_as(browser, width=width, dark=dark)
    browser.get(f"file://{report}")
    browser.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert min(browser.execute_script(CONTRASTS)) >= 4.5
    sizes = "return [...document.querySelectorAll('svg text')].filter(e => e.getClientRects().length)"
    assert browser.execute_script(f"{sizes}.every(e => e.getBoundingClientRect().height >= 9)")
    assert problems(browser) == []
    assert hosts_asked(browser) == set()


def test_values_under_the_pointer_are_shown_without_scripts(browser: Any, report: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    show_as(browser, width=1280)
    browser.get(f"file://{report}")
    place = browser.find_elements("css selector", ".wide-only .reading .hit")[3]
    shown = browser.find_elements("css selector", ".wide-only .reading .shown")[3]
    assert shown.value_of_css_property("opacity") == "0"
    ActionChains(browser).scroll_to_element(place).move_to_element(place).perform()
    assert shown.value_of_css_property("opacity") == "1"
    assert "5 Nov 2026 12:00 UTC" in shown.text


def test_paper_has_everything_that_a_screen_folds_away(browser: Any, report: Path) -> None:
    show_as(browser, width=794, dark=True)
    browser.get(f"file://{report}")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    folded = browser.find_element("xpath", "//details[summary[contains(., 'without drift')]]//strong[.='humidity']")
    assert browser.execute_script("return arguments[0].checkVisibility()", folded)
    assert not browser.find_element("css selector", ".jumps").is_displayed()
    ground = browser.find_element("css selector", "body").value_of_css_property("background-color")
    assert ground == "rgba(255, 255, 255, 1)"  # ink is dark, whatever the screen
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 794
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert 3 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type/Page/") <= 12
