"""Documentation page: routes, fields and examples, written from the OpenAPI document; works without a network."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lightning_app.serving.client.examples import examples
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.pages.sample_request import Sample

_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Documentation of the served models</title>
<link rel="icon" href="page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="page/style.css">
<script type="module" src="page/docs.js"></script>
</head>
<body>
<header class="top"><div class="wide">
<h1>Documentation</h1>
<nav aria-label="Pages"><a href="./">Status</a><a href="openapi.json">OpenAPI</a></nav>
</div></header>
<main class="wide">
<p id="problem" class="problem" role="alert" hidden></p>
<form id="key-form" class="card key" hidden>
<h2>API key</h2>
<p>This server answers with an API key only. It stays in this tab and is forgotten when the tab closes.</p>
<label for="key">Key</label>
<div class="line"><input id="key" type="password" autocomplete="off" spellcheck="false" required>
<button type="submit">Use this key</button></div>
</form>
<div id="content">{content}</div>
</main>
</body>
</html>
"""


def docs_page(content: str) -> str:
    """The page around its content.

    Args:
        content: Of `docs_content`; empty where a key is needed to see it.
    """
    return _SHELL.replace("{content}", content)


def docs_content(
    document: Mapping[str, Any], models: Sequence[LoadedModel], samples: Mapping[str, Sample | None], *, address: str
) -> str:
    """The content as HTML.

    Args:
        document: OpenAPI document.
        models: Models that are served.
        samples: Sample request by name.
        address: Address of the server, for the examples.
    """
    described = {f"/models/{model.name}/predict" for model in models}
    later = {model.name for model in models[1:]}  # their routes of other protocols are as those of the first
    others = [
        path
        for path in document["paths"]
        if path not in described and not (path.startswith("/v2/models/") and path.split("/")[3] in later)
    ]
    index = "".join(f'<li><a href="#model-{escape(model.name)}">{escape(model.name)}</a></li>' for model in models)
    routes = "".join(f'<li><a href="#{_anchor(path)}">{escape(path)}</a></li>' for path in others)
    parts = [_model(document, model, samples.get(model.name), address) for model in models]
    parts += [_route(path, document["paths"][path]) for path in others]
    return (
        '<div class="docs"><aside aria-label="Contents">'
        f'<h2>Models</h2><ul>{index}</ul><h2>Other routes</h2><ul class="mono">{routes}</ul></aside>'
        f"<div>{''.join(parts)}{_errors(document)}</div></div>"
    )


def _model(document: Mapping[str, Any], model: LoadedModel, sample: Sample | None, address: str) -> str:
    path = f"/models/{model.name}/predict"
    operation = document["paths"][path]["post"]
    request = document["components"]["schemas"][f"{model.name}.request"]
    answer = document["components"]["schemas"][f"{model.name}.answer"]["properties"]
    forms = "".join(f"<h3><code>{escape(title)}</code></h3>{table}" for title, table in _request_tables(request))
    parameters = _table(
        ["Parameter", "In", "Type", "Meaning"],
        [[_code(one["name"]), one["in"], _kind(one["schema"]), one["description"]] for one in operation["parameters"]],
    )
    parts = [
        f'<article class="card" id="model-{escape(model.name)}"><h2>{escape(model.name)}</h2>',
        f'<p class="route"><span class="method">POST</span><code>{escape(path)}</code></p>',
        f'<p class="quiet">{escape(operation["description"])}</p>',
        f"<h3>Request</h3><p>One of <code>records</code>, <code>columns</code>{_or_tables(request)}, as JSON"
        f"{_binary(operation)}.</p>{forms}",
        f"<details><summary>Query and headers</summary>{parameters}</details>",
        f"<h3>Answer</h3>{_answer_table(answer)}",
    ]
    if sample is not None:
        body = json.dumps(sample.body, ensure_ascii=False)
        texts = examples(
            model.package.manifest,
            address=address,
            name=model.name,
            body=sample.body,
            has_keys="securitySchemes" in document["components"],
        )
        for title, text in texts.items():
            is_open = " open" if title == "curl" else ""
            parts.append(
                f"<details{is_open}><summary>{escape(title)}</summary><pre><code>{escape(text)}</code></pre></details>"
            )
        parts.append(
            f'<details class="run"><summary>Try it</summary><form class="run" data-path="{escape(path.lstrip("/"))}">'
            f'<label>Body<textarea name="body" rows="8" spellcheck="false">{escape(body)}</textarea></label>'
            '<div class="actions"><button type="submit">Send</button></div>'
            '<pre class="answer" hidden tabindex="0"></pre></form></details>'
        )
    return "".join(parts) + "</article>"


def _or_tables(request: Mapping[str, Any]) -> str:
    return " and <code>tables</code>" if any(form["title"] == "tables" for form in request["oneOf"]) else ""


def _binary(operation: Mapping[str, Any]) -> str:
    types = [name for name in operation["requestBody"]["content"] if name != "application/json"]
    return f"; or one table as {', '.join(f'<code>{escape(name)}</code>' for name in types)}" if types else ""


def _request_tables(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Fields of each kind of row that a request may hold."""
    tables: list[tuple[str, str]] = []
    for form in request["oneOf"]:
        content = form["properties"][form["title"]]
        if form["title"] == "tables":
            for name, table in content["properties"].items():
                rows = table["oneOf"][0]["properties"]["records"]
                tables.append((f"tables.{name}", _fields(rows["items"])))
        elif form["title"] == "records":
            tables += [(rows["title"], _fields(rows["items"])) for rows in content.get("anyOf", [content])]
    return tables


def _fields(record: Mapping[str, Any]) -> str:
    required = set(record.get("required", ()))
    rows = [
        [_code(name), _kind(schema), "yes" if name in required else "", _meaning(schema)]
        for name, schema in record["properties"].items()
        if name in required or not schema.get("description", "").startswith("Copied")
    ]
    return _table(["Field", "Type", "Required", "Meaning and allowed values"], rows)


def _answer_table(answer: Mapping[str, Any]) -> str:
    rows = [[_code(name), _kind(schema), _meaning(schema)] for name, schema in answer.items() if name != "predictions"]
    records = next(form for form in answer["predictions"]["anyOf"] if form["title"] == "Records")
    rows += [
        [f"<code>predictions[].{escape(name)}</code>", _kind(schema), _meaning(schema)]
        for name, schema in records["items"]["properties"].items()
    ]
    return _table(["Field", "Type", "Meaning"], rows)


def _route(path: str, methods: Mapping[str, Any]) -> str:
    parts = [f'<article class="card" id="{_anchor(path)}">']
    for method, operation in methods.items():
        statuses = _table(
            ["Status", "Meaning"],
            [[_code(status), escape(response["description"])] for status, response in operation["responses"].items()],
        )
        parts.append(
            f'<p class="route"><span class="method">{escape(method.upper())}</span><code>{escape(path)}</code>'
            f"<span>{escape(operation.get('summary', ''))}</span></p>"
            f'<p class="quiet">{escape(operation.get("description", ""))}</p>'
        )
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        if "properties" in schema:
            parts.append(_fields(schema))
        parts.append(f"<details><summary>Statuses</summary>{statuses}</details>")
    return "".join(parts) + "</article>"


def _errors(document: Mapping[str, Any]) -> str:
    statuses: dict[str, str] = {}
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if not status.startswith("2"):
                    statuses.setdefault(status, response["description"])
    error = document["components"]["schemas"]["Error"]["properties"]["error"]["properties"]
    fields = [[_code(name), _kind(one), _meaning(one)] for name, one in error.items()]
    return (
        '<article class="card" id="errors"><h2>Errors</h2><p>Every refusal is JSON: <code>{"error": {...}, '
        '"request_id": "..."}</code>.</p>'
        + _table(["Field of error", "Type", "Meaning"], fields)
        + _table(["Status", "Meaning"], [[_code(status), escape(text)] for status, text in sorted(statuses.items())])
        + "</article>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    cells = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="tables" tabindex="0"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _kind(schema: Mapping[str, Any]) -> str:
    """Type of a value in words: lists with their sizes, from the outermost."""
    sizes = []
    while schema.get("type") == "array":
        sizes.append(str(schema["minItems"]) if schema.get("minItems") == schema.get("maxItems", 0) else "n")
        schema = schema.get("items", {})
    kinds = schema.get("type", "any")
    if kinds == ["number", "boolean"]:
        kinds = "number"
    words = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    return escape(f"{' x '.join(sizes)} list of {words}" if sizes else words)


def _meaning(schema: Mapping[str, Any]) -> str:
    words = [schema.get("description", "")]
    inner = schema
    while inner.get("type") == "array":
        inner = inner.get("items", {})
        words.append(inner.get("description", ""))
    if "enum" in inner:
        words.append(f"one of {', '.join(map(str, inner['enum'][:20]))}{' ...' if len(inner['enum']) > 20 else ''}")
    low, high = inner.get("minimum"), inner.get("maximum")
    if inner.get("type") == "integer" and low == 0 and high is not None and high < 2**31 - 1:
        words.append(f"from {low} to {high:,}")
    return escape("; ".join(dict.fromkeys(word.rstrip(".") for word in words if word)))


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _anchor(path: str) -> str:
    return escape("route" + path.replace("/", "-").replace("{", "").replace("}", ""))
