"""Security headers of answers and of pages."""

Headers = list[tuple[bytes, bytes]]

ANSWER_HEADERS: Headers = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]
"""Of every answer: it is neither kept by caches nor read as another type than it says."""

PAGE_HEADERS: Headers = [
    *ANSWER_HEADERS,
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        b"connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
"""Of HTML pages: scripts and styles come from routes of this server alone, none stand in the page itself."""
