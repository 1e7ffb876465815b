"""Page routes: status page, documentation and OpenAPI document; styles and scripts are files, nothing is inline."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.pages.docs_page import docs_content, docs_page
from lightning_app.serving.pages.forms import form_of
from lightning_app.serving.pages.openapi import openapi_document
from lightning_app.serving.pages.page_data import page_data
from lightning_app.serving.pages.sample_request import Sample, sample_request
from lightning_app.serving.security.headers import ANSWER_HEADERS, PAGE_HEADERS

STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {name.decode(): value.decode() for name, value in PAGE_HEADERS}
FurtherPaths = Callable[[Sequence[LoadedModel]], Mapping[str, Any]]


def page_routes(state: ServingState, *, further_paths: FurtherPaths) -> list[BaseRoute]:
    """Routes of the pages.

    The pages themselves are open; what they show of the models needs a key where keys are on, see `guarded_routes`.

    Args:
        state: State of the worker.
        further_paths: Paths of other protocols, for the OpenAPI document.
    """
    texts = _Texts(state, further_paths)

    async def page(_: Request) -> Response:
        return _file("page.html")

    async def static(request: Request) -> Response:
        return _file(request.path_params["name"])

    async def data(_: Request) -> Response:
        return _json(await asyncio.to_thread(page_data, state))

    async def forms(_: Request) -> Response:
        return _json({"models": await asyncio.to_thread(texts.forms)})

    async def openapi(_: Request) -> Response:
        return _json(await asyncio.to_thread(texts.openapi))

    async def docs(request: Request) -> Response:
        content = "" if state.config.keys else await asyncio.to_thread(texts.docs, _address(request))
        return Response(docs_page(content), headers=_HEADERS, media_type="text/html")

    async def docs_part(request: Request) -> Response:
        content = await asyncio.to_thread(texts.docs, _address(request))
        return Response(content, headers=_HEADERS, media_type="text/html")

    return [
        Route("/", page),
        Route("/docs", docs),
        Route("/openapi.json", openapi),
        Route("/page/data", data),
        Route("/page/forms", forms),
        Route("/page/docs", docs_part),
        Route("/page/{name}", static),
    ]


class _Texts:
    """What is written about the models that are served; made again when one of them changes."""

    def __init__(self, state: ServingState, further_paths: FurtherPaths) -> None:
        self._state = state
        self._further_paths = further_paths
        self._samples: dict[str, Sample | None] = {}

    def openapi(self) -> dict[str, Any]:
        models = self._models()
        return openapi_document(
            models,
            self._samples,
            has_keys=self._state.config.keys is not None,
            most_rows=self._state.config.limits.rows,
            further_paths=self._further_paths(models),
        )

    def docs(self, address: str) -> str:
        return docs_content(self.openapi(), self._models(), self._samples, address=address)

    def forms(self) -> list[dict[str, Any]]:
        return [
            {
                "name": model.name,
                "digest": model.digest,
                "needs": _needs(model),
                "form": form_of(model.package, self._samples[model.digest]),
            }
            for model in self._models()
        ]

    def _models(self) -> Sequence[LoadedModel]:
        """The models that are loaded, each with its sample."""
        models = [served.arm.model for served in self._state.models.values() if served.is_loaded]
        samples = {
            model.digest: self._samples[model.digest] if model.digest in self._samples else sample_request(model)
            for model in models
        }
        self._samples = samples  # samples of versions that were replaced are forgotten
        return models


def _needs(model: LoadedModel) -> str:
    """What a request holds, in words."""
    manifest = model.package.manifest
    if manifest.raw_input is not None and manifest.raw_input.min_rows:
        return f"Raw rows: at least {manifest.raw_input.min_rows:,} {manifest.raw_input.rows_of}."
    if manifest.raw_input is not None:
        return f"Raw {manifest.raw_input.rows_of}, as the features of the model take them."
    return f"Inputs of the model: {', '.join(spec.name for spec in model.package.predictor.inputs)}."


def _address(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _file(name: str) -> Response:
    path = STATIC / name
    if "/" in name or name.startswith(".") or path.suffix not in _MEDIA_TYPES or not path.is_file():
        raise HTTPException(404)
    return Response(path.read_bytes(), headers=_HEADERS, media_type=_MEDIA_TYPES[path.suffix])


def _json(content: Any) -> Response:
    headers = {name.decode(): value.decode() for name, value in ANSWER_HEADERS}
    return Response(msgspec.json.encode(content), headers=headers, media_type="application/json")
