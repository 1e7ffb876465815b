"""Page texts: OpenAPI document, documentation and forms of the models that are served."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightning_app.serving.http.serving_state import ServingState
from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.pages.docs_page import docs_content, docs_page
from lightning_app.serving.pages.forms import form_of
from lightning_app.serving.pages.openapi import openapi_document
from lightning_app.serving.pages.sample_request import Sample, sample_request


class PageTexts:
    """What is written about the models that are served; the sample of a version is made once.

    Args:
        state: State of the worker.
        further_paths: Paths of other protocols, for the OpenAPI document.
    """

    def __init__(
        self, state: ServingState, further_paths: Callable[[Sequence[LoadedModel]], Mapping[str, Any]]
    ) -> None:
        self._state = state
        self._further_paths = further_paths
        self._samples: dict[tuple[str, str], Sample | None] = {}

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return self._document(*self._sampled())

    def docs(self, address: str) -> str:
        """Content of the documentation.

        Args:
            address: Address of the server, for the examples.
        """
        models, samples = self._sampled()
        return docs_content(self._document(models, samples), models, samples, address=address)

    def docs_page(self, address: str) -> str:
        """The documentation as a page; without its content where a key is needed to see it.

        Args:
            address: Address of the server, for the examples.
        """
        return docs_page("" if self._state.config.keys else self.docs(address))

    def forms(self) -> list[dict[str, Any]]:
        """A form for each model."""
        models, samples = self._sampled()
        return [
            {
                "name": model.name,
                "digest": model.digest,
                "needs": _needs(model),
                "form": form_of(model.package, samples[model.name]),
            }
            for model in models
        ]

    def _document(self, models: Sequence[LoadedModel], samples: Mapping[str, Sample | None]) -> dict[str, Any]:
        return openapi_document(
            models,
            samples,
            has_keys=self._state.config.keys is not None,
            most_rows=self._state.config.limits.rows,
            further_paths=self._further_paths(models),
        )

    def _sampled(self) -> tuple[list[LoadedModel], dict[str, Sample | None]]:
        """The models that are loaded, and the sample of each by name, as a package may be served twice."""
        models = [served.arm.model for served in self._state.models.values() if served.is_loaded]
        known, self._samples = self._samples, {}  # samples of versions that were replaced are forgotten
        for model in models:
            key = model.name, model.digest
            self._samples[key] = known[key] if key in known else sample_request(model)
        return models, {name: sample for (name, _), sample in self._samples.items()}


def _needs(model: LoadedModel) -> str:
    """What a request holds, in words."""
    manifest = model.package.manifest
    if manifest.raw_input is not None and manifest.raw_input.min_rows:
        return f"Raw rows: at least {manifest.raw_input.min_rows:,} {manifest.raw_input.rows_of}."
    if manifest.raw_input is not None:
        return f"Raw {manifest.raw_input.rows_of}, as the features of the model take them."
    return f"Inputs of the model: {', '.join(spec.name for spec in model.package.predictor.inputs)}."
