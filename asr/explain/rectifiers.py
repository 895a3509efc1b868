"""Rectifiers wherever a network has them, and two other ways back through them.

With f_l what goes into a rectifier and R_{l+1} what comes back to it:

    gradient              R_l = (f_l > 0) R_{l+1}
    deconvolution         R_l = (R_{l+1} > 0) R_{l+1}
    guided backprop.      R_l = (f_l > 0) (R_{l+1} > 0) R_{l+1}

A rectifier clipped at a ceiling has f_l < ceiling in the first bracket too, as its gradient has.
All other layers, recurrent ones among them, go back as they do in the gradient.

Rectifiers are found by the functions that compute them, whether a module or a network itself calls
them; recurrent layers of rectified units compute theirs inside, where nothing is changed.

Source: Springenberg et al. 2014 (arXiv:1412.6806), section 3.4 and figure 1; Zeiler and Fergus 2014
(arXiv:1311.2901), section 2.1.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional
from torch.overrides import TorchFunctionMode

RELUS = (torch.relu, Tensor.relu, functional.relu)

# From what goes into a rectifier, and its ceiling, to what comes out.
Rectify = Callable[[Tensor, float], Tensor]


class Rectifiers(TorchFunctionMode):
    """While this is entered, rectifiers are computed by `rectify`.

    Args:
        rectify: from x and the ceiling, infinity where there is none, to min(max(x, 0), ceiling).

    Attributes:
        count: rectifiers that were computed.
    """

    def __init__(self, rectify: Rectify) -> None:
        super().__init__()
        self.count = 0
        self._rectify = rectify

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> Any:  # noqa: ANN401
        """Compute a function of PyTorch's."""
        ceiling = _ceiling(func, *args, **(kwargs or {}))
        if ceiling is None:
            return func(*args, **(kwargs or {}))
        self.count += 1
        return self._rectify(args[0], ceiling)


def _ceiling(func: object, *args: Any, **kwargs: Any) -> float | None:  # noqa: ANN401
    """Where a rectifier is clipped; None for what is no rectifier."""
    if func in RELUS:
        return math.inf
    if func is functional.relu6:
        return 6.0
    if func is functional.hardtanh:
        low, high = _bounds(*args, **kwargs)
        return high if low == 0 else None
    return None


def _bounds(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> tuple[float, float]:
    """Bounds among the arguments of `functional.hardtanh`."""
    return min_val, max_val


def clip(x: Tensor, ceiling: float) -> Tensor:
    """A rectifier as it is."""
    return x.clamp(0.0, ceiling)


def guide(x: Tensor, ceiling: float) -> Tensor:
    """A rectifier that goes back by guided backpropagation's rule."""
    return _Changed.apply(x, ceiling, True)  # pyright: ignore[reportReturnType]


def deconvolve(x: Tensor, ceiling: float) -> Tensor:
    """A rectifier that goes back by deconvolution's rule."""
    return _Changed.apply(x, ceiling, False)  # pyright: ignore[reportReturnType]


class _Changed(Function):
    """A rectifier through which what is negative does not come back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float, gated: bool) -> Tensor:  # noqa: ANN401
        if gated:
            ctx.save_for_backward((x > 0) & (x < ceiling))
        return x.clamp(0.0, ceiling)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        positive = grads[0].clamp_min(0.0)
        for gate in ctx.saved_tensors:
            positive = positive * gate
        return positive, None, None
