"""The recurrent family: streams with a carried state."""

from models.recurrent.delta_memory import DeltaMemory
from models.recurrent.encoder import Encoder
from models.recurrent.gated import GRUEncoder, LSTMEncoder
from models.recurrent.state import State
from models.recurrent.stream import StreamModule, unroll

__all__ = ["DeltaMemory", "Encoder", "GRUEncoder", "LSTMEncoder", "State", "StreamModule", "unroll"]
