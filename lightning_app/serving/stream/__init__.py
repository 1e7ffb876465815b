"""Streams: events of Kafka, Redis Streams and a queue table, each answered exactly once."""
