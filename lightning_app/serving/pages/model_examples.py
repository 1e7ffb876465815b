"""Examples of requests for the documentation: curl, Python and tritonclient."""

import json

from lightning_app.serving.inference.loaded_model import LoadedModel
from lightning_app.serving.pages.sample_request import Sample

_MOST_CHARACTERS = 900


def model_examples(model: LoadedModel, sample: Sample, *, address: str) -> dict[str, str]:
    """Title to text of each example.

    Args:
        model: The model.
        sample: Its sample request.
        address: Address of the server.
    """
    body = json.dumps(sample.body, ensure_ascii=False)
    url = f"{address}/models/{model.name}/predict"
    if len(body) > _MOST_CHARACTERS or "'" in body:
        curl = f"curl {url} -H 'Content-Type: application/json' --data @body.json  # the body of `Try it`, as a file"
    else:
        curl = f"curl {url} \\\n  -H 'Content-Type: application/json' \\\n  --data '{body}'"
    return {"curl": curl}
