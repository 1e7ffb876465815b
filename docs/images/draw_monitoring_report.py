"""Draws docs/images/monitoring_report.png: `python docs/images/draw_monitoring_report.py FOLDER/report.html`."""

import base64
import sys
from pathlib import Path

from tests.chromium import chromium

with chromium() as browser:
    size = {"width": 1120, "height": 1180, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(Path(sys.argv[1]).absolute().as_uri())
    picture = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
    Path(__file__).with_name("monitoring_report.png").write_bytes(base64.b64decode(picture))
