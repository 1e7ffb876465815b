"""Gate of a candidate: champion and candidate on the same frozen rows, later than all that either was trained on."""

from lightning_app.retraining.gate.alpha_spending import Look
from lightning_app.retraining.gate.judge import Comparison, judge
from lightning_app.retraining.gate.judgement import Judgement, SliceJudgement

__all__ = ["Comparison", "Judgement", "Look", "SliceJudgement", "judge"]
