"""Journals of format 1, made by the statements of that time."""

import sqlite3
from contextlib import closing
from pathlib import Path

SQLITE = """
PRAGMA journal_mode=WAL;
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE served (
  number INTEGER PRIMARY KEY, model TEXT NOT NULL, version INTEGER, digest TEXT NOT NULL, arm TEXT NOT NULL, key_id TEXT
);
CREATE TABLE predictions (
  number INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, time REAL NOT NULL, served INTEGER NOT NULL,
  probability REAL NOT NULL, entity TEXT, num_rows INTEGER NOT NULL, latency_ms REAL NOT NULL, content_type TEXT,
  query TEXT, answer_type TEXT, body_digest BLOB NOT NULL, degraded TEXT, body BLOB NOT NULL, answer BLOB NOT NULL,
  features BLOB, is_redacted INTEGER
);
CREATE TABLE outcomes (
  number INTEGER PRIMARY KEY, request_id TEXT NOT NULL, row INTEGER NOT NULL, time REAL NOT NULL, outcome TEXT,
  reward REAL, key_id TEXT, UNIQUE (request_id, row)
);
CREATE VIEW journal AS SELECT
  p.request_id, datetime(p.time, 'unixepoch', 'subsec') AS time, s.model, s.version, s.digest, s.arm, p.probability,
  p.entity, p.num_rows, p.latency_ms, coalesce(p.content_type, 'application/json') AS content_type,
  CASE WHEN p.content_type IS NULL THEN CAST(p.body AS TEXT) ELSE p.body END AS body, coalesce(p.query, '') AS query,
  coalesce(p.answer_type, 'application/json') AS answer_type,
  CASE WHEN p.answer_type IS NULL THEN CAST(p.answer AS TEXT) ELSE p.answer END AS answer, s.key_id, p.degraded
FROM predictions AS p JOIN served AS s ON s.number = p.served;
PRAGMA application_id=1279348810;
PRAGMA user_version=1;
INSERT INTO meta VALUES ('salt', zeroblob(32));
INSERT INTO served VALUES (1, 'churn', 3, 'dddd', 'champion', 'k1');
INSERT INTO predictions VALUES (
  1790000000000000, 'old', 1790000000.5, 1, 1.0, 'customer-1', 1, 1.5, NULL, NULL, NULL, x'00', NULL,
  CAST('{"records":[{"age":41}]}' AS BLOB), CAST('{"predictions":[{"label":"stays"}]}' AS BLOB), NULL, NULL
);
INSERT INTO outcomes VALUES (1790000000000001, 'old', 0, 1790000001.0, 'true', NULL, 'k1');
"""
POSTGRES = """
CREATE TABLE lightning_app_journal (key text PRIMARY KEY, value bytea NOT NULL);
CREATE TABLE lightning_app_predictions (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, written timestamptz NOT NULL DEFAULT now(),
  request_id text NOT NULL, time float8 NOT NULL, model text NOT NULL, version int8, digest text NOT NULL,
  arm text NOT NULL, probability float8 NOT NULL, entity text, num_rows int8 NOT NULL, latency_ms float8 NOT NULL,
  content_type text NOT NULL, body bytea NOT NULL, query text NOT NULL, answer_type text NOT NULL,
  answer bytea NOT NULL, features bytea, body_digest bytea NOT NULL, key_id text, degraded text,
  is_redacted bool NOT NULL, UNIQUE (request_id)
);
CREATE INDEX lightning_app_predictions_time ON lightning_app_predictions USING brin (time);
CREATE TABLE lightning_app_outcomes (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, written timestamptz NOT NULL DEFAULT now(),
  request_id text NOT NULL, "row" int8 NOT NULL, time float8 NOT NULL, outcome text, reward float8, key_id text,
  UNIQUE (request_id, "row")
);
INSERT INTO lightning_app_journal VALUES ('salt', decode(repeat('00', 32), 'hex')), ('format', '\\x0001');
INSERT INTO lightning_app_predictions (
  request_id, time, model, version, digest, arm, probability, entity, num_rows, latency_ms, content_type, body, query,
  answer_type, answer, body_digest, key_id, is_redacted
) VALUES (
  'old', 1790000000.5, 'churn', 3, 'dddd', 'champion', 1.0, 'customer-1', 1, 1.5, 'application/json',
  '{"records":[{"age":41}]}', '', 'application/json', '{"predictions":[{"label":"stays"}]}', '\\x00', 'k1', false
);
INSERT INTO lightning_app_outcomes (request_id, "row", time, outcome, key_id)
  VALUES ('old', 0, 1790000001.0, 'true', 'k1');
"""


def make_journal_of_format_1(url: str) -> None:
    """A journal of format 1 with one prediction, `old`, and its outcome.

    Args:
        url: Address of a file that does not exist, or of an empty database.
    """
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(Path(url.removeprefix("sqlite:///")))) as file:
            file.executescript(SQLITE)
            file.commit()
        return
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute(POSTGRES)
