"""Tables of experiments; `{prefix}`, `{number}` and `{blob}` are those of the dialect."""

EXPERIMENT_TABLES = """
CREATE TABLE {prefix}shadows (
  number {number}, request_id text NOT NULL, time float8 NOT NULL, model text NOT NULL, version int8,
  digest text NOT NULL, latency_ms float8 NOT NULL, answer_type text NOT NULL, answer {blob}, error text
);
CREATE INDEX {prefix}shadows_request ON {prefix}shadows (request_id);
CREATE TABLE {prefix}arm_counts (
  number {number}, time float8 NOT NULL, experiment text NOT NULL, worker text NOT NULL, arm text NOT NULL,
  version int8, probability float8 NOT NULL, requests int8 NOT NULL, failures int8 NOT NULL, degraded int8 NOT NULL,
  latencies text NOT NULL
);
CREATE INDEX {prefix}arm_counts_experiment ON {prefix}arm_counts (experiment, time);
CREATE TABLE {prefix}experiments (
  id text PRIMARY KEY, model text NOT NULL, kind text NOT NULL, status text NOT NULL, spec text NOT NULL,
  state text NOT NULL, revision int8 NOT NULL, created float8 NOT NULL, updated float8 NOT NULL, ended float8,
  reason text
);
CREATE UNIQUE INDEX {prefix}experiments_canary ON {prefix}experiments (model)
  WHERE kind = 'canary' AND status = 'running';
CREATE TABLE {prefix}experiment_events (
  number {number}, experiment text NOT NULL, time float8 NOT NULL, kind text NOT NULL, facts text NOT NULL
);
CREATE INDEX {prefix}experiment_events_experiment ON {prefix}experiment_events (experiment, number);
CREATE TABLE {prefix}leases (
  name text PRIMARY KEY, holder text NOT NULL, fence int8 NOT NULL, expires float8 NOT NULL
);
"""
