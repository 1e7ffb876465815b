"""The page in a real browser: it shows the models, answers its forms, draws forecasts, and asks no other host."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightning_app.__main__ import main
from tests.chromium import CONTRASTS, chromium, hosts_asked, needs_chromium, problems, show_as
from tests.lightning_app.serving.model_packages import HORIZON, LOOK_BACK, model_packages
from tests.lightning_app.serving.server import RunningWorker, running_worker
from tests.packages import small_package

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    packages = model_packages(tmp_path_factory.mktemp("packages"))
    with running_worker(tmp_path_factory.mktemp("worker"), list(packages.items())) as running:
        yield running


@pytest.fixture(scope="module")
def browser(worker: RunningWorker) -> Iterator[Any]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(browser: Any, worker: RunningWorker) -> Iterator[Any]:
    """The page, with its form; afterwards nothing may be on the console, and no other host asked."""
    show_as(browser, width=1280)
    browser.get(f"{worker.address}/")
    wait(browser, lambda: browser.find_elements("css selector", "#try-form button"))
    yield browser
    assert problems(browser) == []
    assert hosts_asked(browser) == {worker.address.removeprefix("http://")}


def wait(browser: Any, condition: Callable[[], Any]) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 30).until(lambda _: condition())


def choose(page: Any, model: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(page.find_element("id", "try-model")).select_by_value(model)


def predict(page: Any) -> str:
    """Sends the form, and returns the answer as text."""
    page.find_element("css selector", "#try-form button[type=submit]").click()
    wait(page, lambda: "appears here" not in page.find_element("id", "answer").text)
    return page.find_element("id", "answer").text


def test_the_page_shows_every_model_and_the_server(page: Any) -> None:
    shown = [card.text for card in page.find_elements("css selector", "#models h3")]
    assert shown == ["prices", "sizes", "load", "letters"]
    assert page.find_element("id", "health").text == "ready"
    assert "Journal" in page.find_element("id", "server").text


def test_a_form_of_numbers_answers(page: Any, worker: RunningWorker) -> None:
    choose(page, "prices")
    field = page.find_element("xpath", "//label[starts-with(., 'length')]/following-sibling::input")
    field.clear()
    field.send_keys("0.75")
    record = {
        label.text.split()[0]: float(label.find_element("xpath", "following-sibling::input").get_attribute("value"))
        for label in page.find_elements("css selector", "#try-form label")
    }
    assert record["length"] == 0.75
    answer = worker.client.post("/models/prices/predict", json={"records": [record]}).json()
    assert f"{answer['predictions'][0]['price']:.4f}" in predict(page)


def test_classes_have_their_probabilities_drawn(page: Any) -> None:
    choose(page, "sizes")
    text = predict(page)
    assert any(label in text for label in ("low", "middle", "high"))
    picture = page.find_element("css selector", "#answer svg[role=img]")
    assert "%" in picture.get_attribute("aria-label")
    assert len(picture.find_elements("css selector", "rect")) == 3


def test_a_forecast_is_drawn_with_its_past_and_interval(page: Any) -> None:
    choose(page, "load")
    rows = page.find_element("css selector", "#try-form textarea")
    assert rows.get_attribute("value").startswith("time,load\n")
    predict(page)
    picture = page.find_element("css selector", "#answer svg.chart")
    assert f"{LOOK_BACK} known values, forecast of {HORIZON} steps" in picture.get_attribute("aria-label")
    for part in ("past", "forecast", "band"):
        line = picture.find_element("css selector", f"path.{part}")
        assert "NaN" not in line.get_attribute("d")
        assert line.rect["width"] > 50
    assert "intervals of 80 %" in page.find_element("css selector", "#answer .legend").text
    assert len(page.find_elements("css selector", "#answer tbody tr")) == HORIZON


def test_text_is_asked_as_text(page: Any) -> None:
    choose(page, "letters")
    words = page.find_element("css selector", "#try-form textarea")
    words.clear()
    words.send_keys("abc dz")
    assert "not in the vocabulary" in predict(page)


def test_an_error_of_the_server_is_shown_in_words(page: Any) -> None:
    choose(page, "load")
    rows = page.find_element("css selector", "#try-form textarea")
    page.execute_script("arguments[0].value = 'time,load\\n2024-01-01,5'", rows)
    text = predict(page)
    assert "Refused (422)" in text
    assert "row 1: " in text


def test_a_table_that_cannot_be_read_is_not_sent(page: Any) -> None:
    choose(page, "load")
    rows = page.find_element("css selector", "#try-form textarea")
    page.execute_script("arguments[0].value = 'time,load\\n2024-01-01'", rows)
    page.find_element("css selector", "#try-form button[type=submit]").click()
    assert "Line 2 has 1 values, 2 are needed" in page.find_element("css selector", "#try-form .problem").text


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1280, False)])
def test_the_page_fits_its_screen_and_can_be_read(page: Any, width: int, dark: bool) -> None:
    show_as(page, width=width, dark=dark)
    choose(page, "load")
    predict(page)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    unlabelled = "return [...document.querySelectorAll('input, select, textarea')].filter(e => !e.labels.length).length"
    assert page.execute_script(unlabelled) == 0
    assert min(page.execute_script(CONTRASTS)) >= 4.5


def test_the_documentation_has_every_model_and_its_example_works(browser: Any, worker: RunningWorker) -> None:
    show_as(browser, width=1280)
    browser.get(f"{worker.address}/docs")
    titles = [title.text for title in browser.find_elements("css selector", "article h2")]
    assert titles == ["prices", "sizes", "load", "letters", "Errors"]
    article = browser.find_element("id", "model-load")
    assert "target, MW" in article.text
    assert "/models/load/predict" in article.text
    article.find_element("css selector", "details.run summary").click()
    article.find_element("css selector", "form.run button").click()
    answer = article.find_element("css selector", "pre.answer")
    wait(browser, lambda: "request_id" in answer.text)
    assert problems(browser) == []
    assert hosts_asked(browser) == {worker.address.removeprefix("http://")}


def test_a_key_is_asked_for_and_forgotten_with_the_tab(
    browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "add", str(tmp_path / "keys.yaml"), "--id", "page", "--scopes", "predict,admin"]) == 0
    key = next(word for word in capsys.readouterr().out.split() if word.startswith("page."))
    package = small_package(tmp_path / "package")
    with running_worker(tmp_path / "w", [("prices", package)], config={"keys": str(tmp_path / "keys.yaml")}) as guarded:
        for page in ("", "docs"):
            browser.get(f"{guarded.address}/{page}")
            field = wait(browser, lambda: browser.find_element("id", "key"))
            wait(browser, field.is_displayed)
            assert "prices" not in browser.find_element("tag name", "main").text
            field.send_keys("page.wrong\n")
            wait(browser, lambda: "not valid" in browser.find_element("id", "problem").text)
            browser.find_element("id", "key").send_keys(f"{key}\n")
            wait(browser, lambda: "prices" in browser.find_element("tag name", "main").text)
            assert browser.execute_script("return [document.cookie, localStorage.length]") == ["", 0]
            assert browser.execute_script("return sessionStorage.length") == 1
            browser.execute_script("sessionStorage.clear()")
        browser.get(f"{guarded.address}/")
        wait(browser, lambda: browser.find_element("id", "key").is_displayed())
        assert problems(browser) == []
