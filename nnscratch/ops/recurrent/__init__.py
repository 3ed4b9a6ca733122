"""Recurrent networks: one step (cells), one direction of one layer as a fused op (fused_*), whole stacks (layers)."""

from .cells import *
from .layers import *

__all__ = ["gru", "gru_cell", "lstm", "lstm_cell", "rnn", "rnn_relu_cell", "rnn_tanh_cell"]
