"""The recurrent family: streams with a carried state."""

from models.recurrent.encoder import Encoder
from models.recurrent.gated import GRUEncoder, LSTMEncoder
from models.recurrent.puzzle import PuzzleSolver
from models.recurrent.recursive_block import AttentionMixing, LengthMixing, RecursiveBlock
from models.recurrent.state import State
from models.recurrent.stream import StreamModule, unroll
from models.recurrent.trm import TinyRecursiveModel

__all__ = [
    "AttentionMixing",
    "Encoder",
    "GRUEncoder",
    "LSTMEncoder",
    "LengthMixing",
    "PuzzleSolver",
    "RecursiveBlock",
    "State",
    "StreamModule",
    "TinyRecursiveModel",
    "unroll",
]
