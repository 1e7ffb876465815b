"""Draws docs/images/canary_rolled_back.png: `python docs/images/draw_canary.py`."""

from pathlib import Path

from benchmarks.experiments.simulated_traffic import Challenger, World, simulate
from lightning_app.serving.config.experiment_config import CanaryConfig, RewardConfig
from lightning_app.serving.experiments.canary.picture import canary_picture

config = CanaryConfig(reward=RewardConfig(kind="continuous", low=0, high=20))
outcome = simulate(config, World(), Challenger(reward=0.95), seed=3)
figure = canary_picture(outcome.events, title="Simulation: a challenger whose mean reward is 5 % worse")
figure.savefig(Path(__file__).with_name("canary_rolled_back.png"), dpi=90)
