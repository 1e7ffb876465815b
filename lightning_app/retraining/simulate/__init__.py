"""Replay of a policy over history: what the error would have been without retraining, with it, and at which cost."""

from lightning_app.retraining.simulate.replay import Replay, replay
from lightning_app.retraining.simulate.replay_rows import ReplayRows, read_replay_rows
from lightning_app.retraining.simulate.strategy import Strategy

__all__ = ["Replay", "ReplayRows", "Strategy", "read_replay_rows", "replay"]
