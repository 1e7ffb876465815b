"""Automatic forecasting: a portfolio of candidates, what became of each, and the choice among them."""

from models.forecasting.auto.auto_forecaster import AutoForecaster
from models.forecasting.auto.candidate import Candidate, CandidateDoesNotFitError, WindowSizes
from models.forecasting.auto.candidate_record import CandidateRecord

__all__ = ["AutoForecaster", "Candidate", "CandidateDoesNotFitError", "CandidateRecord", "WindowSizes"]
