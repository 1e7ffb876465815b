"""Tables of streams; `{prefix}`, `{number}` and `{blob}` are those of the dialect."""

STREAM_TABLES = ""
