"""A real headless Chromium, driven by selenium, that reaches nothing but this machine."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import pytest

needs_chromium = pytest.mark.skipif(
    None in (shutil.which("chromium"), shutil.which("chromedriver"), find_spec("selenium")),
    reason="needs chromium, chromedriver and the package selenium",
)
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

CONTRASTS = """
const part = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const light = c => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
const color = text => (text.match(/[\\d.]+/g) || []).map(Number);
const behind = e => { for (; e; e = e.parentElement) {
  const c = color(getComputedStyle(e).backgroundColor);
  if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
return [...document.querySelectorAll('body *')]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length)
  .map(e => { const s = getComputedStyle(e);
    const [a, b] = [light(color(e instanceof SVGElement ? s.fill : s.color)), light(behind(e))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); });
"""
"""Script that returns the contrast of each text with what is behind it, as WCAG computes it; 4.5 is its level AA."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser with a new profile, whose log holds what pages say and ask."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            yield driver
        finally:
            driver.quit()


def show_as(driver: Any, *, width: int, height: int = 900, dark: bool = False) -> None:
    """Sets the size of the screen, and whether the user wants dark pages."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def problems(driver: Any) -> list[str]:
    """What the console says since it was last asked, but for answers of the server that are errors by themselves."""
    messages = [entry["message"] for entry in driver.get_log("browser")]
    return [message for message in messages if "Failed to load resource" not in message]


def hosts_asked(driver: Any) -> set[str]:
    """Hosts and ports that the pages have sent requests to since it was last asked."""
    asked = set()
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = urlsplit(message["params"]["request"]["url"])
            if url.scheme in ("http", "https", "ws", "wss"):
                asked.add(url.netloc)
    return asked
