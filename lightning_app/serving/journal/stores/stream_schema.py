"""Tables of streams; `{prefix}`, `{number}` and `{blob}` are those of the dialect."""

STREAM_TABLES = """
CREATE TABLE {prefix}stream_offsets (
  stream text NOT NULL, partition text NOT NULL, next_offset int8 NOT NULL, fence int8 NOT NULL, holder text,
  claimed_offset int8 NOT NULL, crashes int8 NOT NULL, updated float8 NOT NULL, PRIMARY KEY (stream, partition)
);
CREATE TABLE {prefix}stream_queue (
  number {number}, stream text NOT NULL, body {blob} NOT NULL, content_type text NOT NULL DEFAULT 'application/json',
  key text, request_id text, headers text, put float8, holder text, lease_until float8 NOT NULL DEFAULT 0,
  attempts int8 NOT NULL DEFAULT 0
);
CREATE INDEX {prefix}stream_queue_stream ON {prefix}stream_queue (stream, number);
CREATE TABLE {prefix}stream_sessions (
  stream text NOT NULL, key text NOT NULL, digest text NOT NULL, version int8, number int8 NOT NULL,
  state {blob} NOT NULL, used float8 NOT NULL, PRIMARY KEY (stream, key)
);
CREATE TABLE {prefix}dead_letters (
  number {number}, stream text NOT NULL, request_id text NOT NULL, partition text NOT NULL, position text NOT NULL,
  time float8 NOT NULL, key text, content_type text NOT NULL, body {blob}, code text NOT NULL, reason text NOT NULL,
  attempts int8 NOT NULL, retried float8, UNIQUE (stream, request_id)
);
CREATE TABLE {prefix}outbox (
  number {number}, stream text NOT NULL, target text NOT NULL, partition text NOT NULL, time float8 NOT NULL,
  messages {blob} NOT NULL, num_messages int8 NOT NULL, holder text NOT NULL, lease_until float8 NOT NULL, error text
);
CREATE INDEX {prefix}outbox_stream ON {prefix}outbox (stream, partition);
"""
