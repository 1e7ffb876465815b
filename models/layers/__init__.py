"""Layers shared by the model families."""

from models.layers.ascending import ascending, ascending_levels
from models.layers.channel_linear import ChannelLinear
from models.layers.delta_rule import Memory, chunkwise_delta_rule, recurrent_delta_rule
from models.layers.gate import Gate
from models.layers.locked_dropout import LockedDropout
from models.layers.narrow_attention import NarrowAttention, NarrowEncoderLayer
from models.layers.reversible_norm import ReversibleNorm
from models.layers.router_attention import RouterAttention
from models.layers.short_convolution import ShortConvolution
from models.layers.standardize import Standardize
from models.layers.swiglu import SwiGLU

__all__ = [
    "ChannelLinear",
    "Gate",
    "LockedDropout",
    "Memory",
    "NarrowAttention",
    "NarrowEncoderLayer",
    "ReversibleNorm",
    "RouterAttention",
    "ShortConvolution",
    "Standardize",
    "SwiGLU",
    "ascending",
    "ascending_levels",
    "chunkwise_delta_rule",
    "recurrent_delta_rule",
]
