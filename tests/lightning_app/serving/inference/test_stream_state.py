"""State that clients give back: equal to what was returned, or refused."""

import base64
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_app.packaging import RequestError, StateSpec
from lightning_app.packaging.format.signature import DTYPES
from lightning_app.serving.inference.stream_state import decode_state, encode_state

DIGEST = "ab" * 32
SPEC = StateSpec("hidden", "next_hidden", "float32", ("batch", 3), 0.0)


@st.composite
def states(draw: st.DrawFn) -> tuple[list[StateSpec], dict[str, np.ndarray], int]:
    rows = draw(st.integers(0, 4))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    specs, state = [], {}
    for index in range(draw(st.integers(1, 3))):
        sizes = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
        dtype = draw(st.sampled_from(DTYPES))
        specs.append(StateSpec(f"state_{index}", f"next_{index}", dtype, ("batch", *sizes), 0.0))
        state[f"state_{index}"] = (rng.standard_normal((rows, *sizes)) * 50).astype(dtype)
    return specs, state, rows


@given(drawn=states())
@settings(max_examples=100, deadline=None)
def test_a_state_comes_back_as_it_was(drawn: tuple[list[StateSpec], dict[str, np.ndarray], int]) -> None:
    specs, state, rows = drawn
    text = encode_state(state, digest=DIGEST)
    back = decode_state(text, specs, digest=DIGEST, num_rows=rows)
    assert back.keys() == state.keys()
    for name, array in state.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(back[name], array)
    with pytest.raises(RequestError, match=f"is of {rows} streams, the request has {rows + 1} rows"):
        decode_state(text, specs, digest=DIGEST, num_rows=rows + 1)


@given(
    text=st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
)
@settings(max_examples=200, deadline=None)
def test_any_text_is_refused_as_no_state(text: str) -> None:
    with pytest.raises(RequestError, match="^state: "):
        decode_state(text, [SPEC], digest=DIGEST, num_rows=1)


def forged(*, digest: str = DIGEST, form: Any = 1, tensors: Any = None, **changes: Any) -> str:
    one = {"name": "hidden", "dtype": "float32", "shape": [1, 3], "content": np.zeros(3, np.float32).tobytes()}
    listed = [list({**one, **changes}.values())] if tensors is None else tensors
    return base64.urlsafe_b64encode(msgspec.msgpack.encode([form, digest, listed])).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (forged(digest="cd" * 32), "of the package 'cdcdcdcdcdcd', abababababab answers now"),
        (forged(form=2), "it is of the package"),
        (forged(form="x"), "damaged"),
        (forged(tensors=[]), "other tensors"),
        (forged(name="cell"), "other tensors"),
        (forged(dtype="float64"), "float32 of"),
        (forged(dtype="object"), "float32 of"),
        (forged(shape=[1, 4]), "float32 of"),
        (forged(shape=[1, 3, 1]), "float32 of"),
        (forged(shape=[2**62, 3]), "incomplete"),
        (forged(shape=[-1, 3], content=b""), "incomplete"),
        (forged(content=b"1234"), "incomplete"),
        (forged(content=np.array([0, np.nan, 0], np.float32).tobytes()), "not finite"),
        (forged(content=np.array([0, np.inf, 0], np.float32).tobytes()), "not finite"),
        (forged(shape=[0, 3], content=b""), "of 0 streams"),
        ("A" * 100_000, "100,000 characters given"),
        (7, "int given, the text"),
        (None, "NoneType given"),
    ],
)
def test_forged_states_are_refused(text: Any, message: str) -> None:
    assert decode_state(forged(), [SPEC], digest=DIGEST, num_rows=1)["hidden"].shape == (1, 3)
    with pytest.raises(RequestError, match=message):
        decode_state(text, [SPEC], digest=DIGEST, num_rows=1)
