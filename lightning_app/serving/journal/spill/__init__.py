"""Spill files: what is written to the journal while it is down, and is replayed when it is back."""

from lightning_app.serving.journal.spill.replay import Replayed, replay, waiting_files
from lightning_app.serving.journal.spill.spill_file import SpillFile

__all__ = ["Replayed", "SpillFile", "replay", "waiting_files"]
