"""Recurrent models: streams with a carried state."""

from models.recurrent.deepar import DeepAR
from models.recurrent.delta_memory import DeltaMemory
from models.recurrent.encoder import Encoder
from models.recurrent.gated import GRUEncoder, LSTMEncoder
from models.recurrent.language_model import RecurrentLanguageModel
from models.recurrent.puzzle import PuzzleSolver
from models.recurrent.recursive_block import AttentionMixing, LengthMixing, RecursiveBlock
from models.recurrent.stacked import StackedEncoder
from models.recurrent.state import RecurrentState, State
from models.recurrent.stream import EncoderModule, StreamModule, unroll
from models.recurrent.trajectory import TrajectoryForecaster
from models.recurrent.trm import TinyRecursiveModel

__all__ = [
    "AttentionMixing",
    "DeepAR",
    "DeltaMemory",
    "Encoder",
    "EncoderModule",
    "GRUEncoder",
    "LSTMEncoder",
    "LengthMixing",
    "PuzzleSolver",
    "RecurrentLanguageModel",
    "RecurrentState",
    "RecursiveBlock",
    "StackedEncoder",
    "State",
    "StreamModule",
    "TinyRecursiveModel",
    "TrajectoryForecaster",
    "unroll",
]
