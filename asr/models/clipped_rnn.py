"""The recurrent layer of DeepSpeech2's plain networks."""

import math

import torch
from torch import Tensor, nn


class ClippedReLU(nn.Hardtanh):
    """min(max(x, 0), 20). Source: Hannun et al. 2014 (arXiv:1412.5567), section 2."""

    def __init__(self) -> None:
        super().__init__(0.0, 20.0)


class ClippedRNN(nn.Module):
    """Plain recurrent layer: h_t = min(max(W x_t + U h_{t-1} + b, 0), 20), h_{-1} = 0.

    W x_t is one product for all frames. What is left is a product and a clamp a frame, called one
    by one from Python: cuDNN knows no clipped activation.

    Args:
        input_size: features in.
        hidden_size: features out, H.

    Source: Amodei et al. 2016 (arXiv:1512.02595), section 3.1.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)
        self.activation = ClippedReLU()
        bound = 1 / math.sqrt(hidden_size)  # as torch.nn.RNN
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map (T, N, F), T >= 1, to the states (T, N, H) and the last of them, (1, N, H).

        `state` is that before the first frame, (1, N, H); zero by default.
        """
        drives = self.input(x).unbind(0)
        if state is None:  # the product with zero is spared
            states = [self.activation(drives[0])]
        else:
            states = [self.activation(drives[0] + self.recurrent(state[0]))]
        for drive in drives[1:]:
            states.append(self.activation(drive + self.recurrent(states[-1])))
        return torch.stack(states), states[-1][None]
