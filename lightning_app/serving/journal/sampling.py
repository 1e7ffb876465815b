"""Sampling of requests by their id: the same request is always in the sample, or never."""

from hashlib import blake2b

_RANGE = 2**64


def is_sampled(request_id: str, share: float) -> bool:
    """Whether a request is in the sample.

    Args:
        request_id: Id of the request.
        share: Share of requests in the sample, in [0, 1].
    """
    if share >= 1:
        return True
    digest = blake2b(request_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * _RANGE
