"""Monitor page: the newest report of the monitoring process, which a worker reads as a file and does not compute."""

import re
from collections.abc import Callable
from html import escape
from pathlib import Path

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lightning_app.serving.config.monitor_files import PAGE, REPORTS, SUMMARY, Summary
from lightning_app.serving.http.bodies import JSON
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.security.headers import ANSWER_HEADERS, PAGE_HEADERS

_STYLE = re.compile(r"style-src (?:'|&#x27;)(sha256-[A-Za-z0-9+/=]{44})")
_HEAD = 1000
"""Characters of a report within which its own policy stands."""
_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Model monitoring</title>
<link rel="icon" href="{root}page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{root}page/style.css">
<link rel="stylesheet" href="{root}page/monitor.css">
<script type="module" src="{root}page/monitor.js"></script>
</head>
<body>
<header class="top"><div class="wide">
<h1>Model monitoring</h1>
<p id="made" class="badge" role="status">loading</p>
<nav aria-label="Pages">{links}</nav>
</div></header>
<main class="wide" data-source="{source}">
<p id="problem" class="problem" role="alert" hidden></p>
<form id="key-form" class="card key" hidden>
<h2>API key</h2>
<p>This page needs an API key with the scope admin. It stays in this tab and is forgotten when the tab closes.</p>
<label for="key">Key</label>
<div class="line"><input id="key" type="password" autocomplete="off" spellcheck="false" required>
<button type="submit">Use this key</button></div>
</form>
<div id="content"></div>
</main>
<noscript><p class="wide">Without JavaScript the report is at <a href="{source}">its own address</a>.</p></noscript>
</body>
</html>
"""


def monitor_shell(*, source: str, links: dict[str, str], root: str = "") -> Response:
    """The page around a report, which its script asks for with the key of the tab.

    Args:
        source: Address of the report.
        links: Names and addresses of other pages.
        root: Relative address of the folder that the server's pages are in.
    """
    anchors = "".join(f'<a href="{escape(address)}">{escape(name)}</a>' for name, address in links.items())
    page = _SHELL.replace("{links}", anchors).replace("{source}", escape(source)).replace("{root}", escape(root))
    return Response(page, headers=_headers(""), media_type="text/html")


def report_page(content: str) -> Response:
    """A report as an answer; its own style, and nothing else, is allowed in it.

    Args:
        content: The HTML of the report.
    """
    found = _STYLE.search(content[:_HEAD])
    return Response(content, headers=_headers(found[1] if found else ""), media_type="text/html")


def monitor_routes(folder: Path) -> list[BaseRoute]:
    """Routes of the newest report.

    Args:
        folder: Where the monitoring process writes.
    """

    async def page(_: Request) -> Response:
        return monitor_shell(source="page/monitor", links={"Status": "./", "JSON": "monitor.json"})

    async def report(_: Request) -> Response:
        return report_page((await _read(folder / PAGE)).decode())

    async def data(_: Request) -> Response:
        headers = {name.decode(): value.decode() for name, value in ANSWER_HEADERS}
        return Response(await _read(folder / REPORTS), headers=headers, media_type=JSON)

    return [Route("/monitor", page), Route("/page/monitor", report), Route("/monitor.json", data)]


def read_summary(folder: Path) -> Summary | None:
    """What the status page says of monitoring; None before the first report.

    Args:
        folder: Where the monitoring process writes.
    """
    try:
        return msgspec.json.decode((folder / SUMMARY).read_bytes(), type=Summary)
    except (OSError, msgspec.DecodeError):
        return None


async def _read(path: Path) -> bytes:
    read: Callable[[], bytes] = path.read_bytes
    try:
        return await run_in_threadpool(read)
    except OSError:
        message = "no report yet: the monitoring process makes the first one, or its log says why it cannot"
        raise HttpError(404, "no_report", message) from None


def _headers(style: str) -> dict[str, str]:
    headers = {name.decode(): value.decode() for name, value in PAGE_HEADERS}
    if style:
        policy = headers["content-security-policy"]
        headers["content-security-policy"] = policy.replace("style-src 'self'", f"style-src '{style}'")
    return headers
