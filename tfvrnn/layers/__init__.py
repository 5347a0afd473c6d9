"""The layers of the models: pure Keras 3, equal on every backend."""

from tfvrnn.layers.advection import PixelAdvection
from tfvrnn.layers.blocks import ConvNorm, GroupNorm, ResidualBlock, UpConv
from tfvrnn.layers.conv_lstm import ConvLSTMCell, ConvLSTMState
from tfvrnn.layers.initial_state import InitialState
from tfvrnn.layers.latent import LatentLevel

__all__ = [
    "ConvLSTMCell",
    "ConvLSTMState",
    "ConvNorm",
    "GroupNorm",
    "InitialState",
    "LatentLevel",
    "PixelAdvection",
    "ResidualBlock",
    "UpConv",
]
