"""JSON as deep as the decoder allows is answered or refused, never a failure of the server."""

import pytest

from lightning_app.serving.http.bodies import read_body
from lightning_app.serving.http.errors import HttpError
from lightning_app.serving.http.feedback_route import read_feedback


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
def test_nesting_up_to_the_limit_of_the_decoder_is_refused(opening: bytes) -> None:
    closing = b"}" if opening[:1] == b"{" else b"]"
    for depth in range(900, 1001):
        value = opening * depth + b"1" + closing * depth
        with pytest.raises(HttpError) as refused:
            read_body(b'{"records": [' + value + b"]}", "application/json", max_rows=10)
        assert refused.value.status in (400, 422)


@pytest.mark.parametrize("body", ["[0, DEEP]", "[[], DEEP]", "DEEP"])
def test_cells_are_lists_of_as_many_levels_as_tensors_have(body: str) -> None:
    def columns(levels: int, innermost: str = "0") -> bytes:
        return b'{"columns": {"x": [%s]}}' % body.replace("DEEP", "[" * levels + innermost + "]" * levels).encode()

    assert read_body(columns(7), "application/json", max_rows=10)[0].num_rows
    for refused in (columns(9), columns(300), columns(3, '{"a": 1}')):
        with pytest.raises(HttpError) as error:
            read_body(refused, "application/json", max_rows=10)
        assert (error.value.status, error.value.field) == (422, "x")


def test_records_that_share_no_keys_do_not_become_a_huge_table() -> None:
    records = b",".join(b'{"c%d": 1}' % number for number in range(10_000))
    with pytest.raises(HttpError, match="10,000 keys in 10,000 rows") as refused:
        read_body(b'{"records": [%s]}' % records, "application/json", max_rows=10_000)
    assert refused.value.status == 422


def test_a_request_id_ends_with_its_line() -> None:
    with pytest.raises(HttpError, match="request_id"):
        read_feedback(b'{"request_id": "a\\n", "outcome": 1}')


def test_outcomes_are_values_or_lists_of_a_few_levels() -> None:
    for depth, is_allowed in ((0, True), (8, True), (9, False), (400, False), (980, False)):
        body = b'{"request_id": "a", "outcome": ' + b"[" * depth + b"1" + b"]" * depth + b"}"
        if is_allowed:
            assert read_feedback(body).request_id == "a"
            continue
        with pytest.raises(HttpError) as refused:
            read_feedback(body)
        assert (refused.value.status, refused.value.field) in ((422, "outcome"), (400, "body"))
