"""Detectors of changes in a stream of errors, row by row: `update(value) -> bool`; their state is JSON."""

from lightning_app.drift.streaming.adwin import Adwin
from lightning_app.drift.streaming.glr import GlrDetector
from lightning_app.drift.streaming.page_hinkley import PageHinkley

Detector = Adwin | GlrDetector | PageHinkley

__all__ = ["Adwin", "Detector", "GlrDetector", "PageHinkley"]
