"""Examples of one request for a model: curl, Python and tritonclient, as text that runs as it is."""

import json
import shlex
from collections.abc import Mapping
from pprint import pformat
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from lightning_app.packaging.format.manifest import Manifest
    from lightning_app.packaging.format.signature import TensorSpec

_MOST_CHARACTERS = 900
_FILE = "body.json"
_DATATYPES = {"float16": "FP16", "float32": "FP32", "float64": "FP64", "bool": "BOOL"}


def examples(
    manifest: "Manifest", *, address: str, name: str, body: Mapping[str, Any], has_keys: bool = False
) -> dict[str, str]:
    """Title to text of each example.

    Args:
        manifest: Manifest of the package.
        address: Address of the server, e.g. `http://localhost:8000`.
        name: Name of the model in addresses.
        body: A JSON body that the model answers: `records`, `columns` or `tables`. A long one is read from a file
            `body.json`.
        has_keys: Whether the server asks for a key; the examples take it from `$LIGHTNING_APP_KEY`.
    """
    address = address.rstrip("/")
    return {
        "curl": _curl(f"{address}/models/{name}/predict", body, has_keys),
        "Python": _python(address, name, body, has_keys),
        "tritonclient": _tritonclient(manifest, address, name, body, has_keys),
    }


def _curl(url: str, body: Mapping[str, Any], has_keys: bool) -> str:
    text = json.dumps(body, ensure_ascii=False)
    lines = [f"curl {shlex.quote(url)}", "-H 'Content-Type: application/json'"]
    if has_keys:
        lines.append('-H "Authorization: Bearer $LIGHTNING_APP_KEY"')
    lines.append(f"--data {shlex.quote(text) if len(text) <= _MOST_CHARACTERS else f'@{_FILE}'}")
    return " \\\n  ".join(lines)


def _python(address: str, name: str, body: Mapping[str, Any], has_keys: bool) -> str:
    form = next(key for key in body if key != "state")
    data = body[form]
    if form == "tables":
        data = {table: content[inner] for table, content in data.items() for inner in content}
    is_long = len(json.dumps(data)) > _MOST_CHARACTERS
    imports = ["import json"] * is_long + ["import os"] * has_keys
    reading = f'json.load(open("{_FILE}", encoding="utf-8"))["{form}"]'
    if is_long and form == "tables":
        reading = f"{{name: table for name, of in {reading}.items() for table in of.values()}}"
    key = ', key=os.environ["LIGHTNING_APP_KEY"]' if has_keys else ""
    return "\n".join(
        [
            *imports,
            *[""] * bool(imports),
            "from lightning_app.serving import Client",
            "",
            f"{form} = {reading if is_long else pformat(data, width=100, sort_dicts=False)}",
            f"with Client({address!r}{key}) as client:",
            f"    answer = client.predict({'tables=tables' if form == 'tables' else form}, model={name!r})",
            "print(answer.predictions, answer.version, answer.request_id)",
        ]
    )


def _tritonclient(manifest: "Manifest", address: str, name: str, body: Mapping[str, Any], has_keys: bool) -> str:
    host = urlsplit(address)
    tls = ", ssl=True" if host.scheme == "https" else ""
    headers = ', headers={"Authorization": "Bearer " + os.environ["LIGHTNING_APP_KEY"]}' if has_keys else ""
    tensors = [_tensor(manifest, spec, _columns(body)) for spec in manifest.inputs]
    return "\n".join(
        [
            *["import os", ""] * has_keys,
            "import numpy as np",
            "from tritonclient import http",
            "",
            f"client = http.InferenceServerClient({host.netloc!r}{tls})",
            "inputs = []",
            "for name, datatype, array in [",
            *(f"    {tensor}," for tensor in tensors),
            "]:",
            "    inputs.append(http.InferInput(name, array.shape, datatype).set_data_from_numpy(array))",
            f"answer = client.infer({name!r}, inputs{headers})",
            "for output in answer.get_response()['outputs']:",
            "    print(output['name'], answer.as_numpy(output['name']))",
        ]
    )


def _tensor(manifest: "Manifest", spec: "TensorSpec", columns: Mapping[str, list[Any]]) -> str:
    """Name, datatype and array of an input."""
    name, dtype, shape = spec.name, spec.dtype, tuple(size if isinstance(size, int) else 1 for size in spec.shape)
    if manifest.tokenizer is not None and name == "tokens":
        name, dtype, shape = "text", "text", (1,)
    elif manifest.node_ids is not None and name in manifest.node_ids.inputs:
        dtype, shape = manifest.node_ids.dtype, (1,)
    values = _values(manifest, spec, columns) if name == spec.name else columns.get(name)
    if values is not None and len(json.dumps(values)) > _MOST_CHARACTERS:
        values = None
    if dtype == "text":
        return f'({name!r}, "BYTES", np.array({values or ["..."]!r}, dtype=object))'
    numpy = "np.bool_" if dtype == "bool" else f"np.{dtype}"
    array = f"np.zeros({shape!r}, {numpy})" if values is None else f"np.array({values!r}, {numpy})"
    return f'({name!r}, "{_DATATYPES.get(dtype, dtype.upper())}", {array})'


def _values(manifest: "Manifest", spec: "TensorSpec", columns: Mapping[str, list[Any]]) -> list[Any] | None:
    """Values of an input in a request of tensors or of its named columns; None in one of raw rows."""
    if manifest.raw_input is not None:
        return None
    if spec.columns is not None and len(spec.shape) == 2 and all(name in columns for name in spec.columns):
        return [list(row) for row in zip(*(columns[name] for name in spec.columns), strict=True)]
    return columns.get(spec.name)


def _columns(body: Mapping[str, Any]) -> Mapping[str, list[Any]]:
    if "records" in body:
        records = body["records"]
        return {name: [record.get(name) for record in records] for name in (records[0] if records else {})}
    columns: Mapping[str, list[Any]] = body.get("columns", {})
    return columns
