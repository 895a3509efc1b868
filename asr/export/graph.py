"""A model as one module that can be traced: inputs and lengths to log-probabilities and lengths."""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from asr.acoustic.model import AcousticModel
from asr.export.cells import GraphClippedRNN, GraphLSTM
from asr.export.front_ends import graph_front_end
from asr.models import SincFilters
from asr.models.cells import CoupledLSTM, PeepholeLSTM
from asr.models.clipped_rnn import ClippedRNN


class GraphModel(nn.Module):
    """Front end, network and softmax of a model, on the CPU in evaluation.

    Args:
        model: is left as it is.
        takes_samples: as `graph_front_end`.
    """

    def __init__(self, model: AcousticModel, *, takes_samples: bool) -> None:
        super().__init__()
        self.front_end = graph_front_end(model.features, takes_samples=takes_samples)
        self.network = graph_network(cast(nn.Module, model.network))
        self.eval()

    def forward(self, x: Tensor, x_lens: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-probabilities.

        Args:
            x: statics (N, T, S) or samples (N, L); what stands beyond a length is ignored.
            x_lens: (N,) int64, frames or samples.

        Returns:
            log_probs (N, T', C), anything beyond their lengths, and these (N,) int64.
        """
        features, lengths = self.front_end(x, x_lens)
        logits, output_lengths = self.network(features, lengths)
        return logits.log_softmax(-1).transpose(0, 1), output_lengths


def graph_network(network: nn.Module) -> nn.Module:
    """Copy a network, with loops that stay loops and filters that are numbers."""
    network = copy.deepcopy(network).cpu().float()
    for parent in [*network.modules()]:
        for name, part in [*parent.named_children()]:
            if isinstance(part, ClippedRNN):
                setattr(parent, name, GraphClippedRNN(part))
            elif isinstance(part, PeepholeLSTM | CoupledLSTM):
                setattr(parent, name, GraphLSTM(part))
            elif isinstance(part, SincFilters):
                _fix_filters(part)
    return network


def _fix_filters(filters: SincFilters) -> None:
    """Let filters be what they are now: ONNX has no sinc."""
    with torch.no_grad():
        responses = filters.impulse_responses()
    filters.impulse_responses = lambda: responses
