"""Networks on samples: frames of a waveform (N, T, hop) -> logits (T', N, C)."""

from typing import cast

from torch import Tensor, nn

from asr.models.blocks import ClassHead
from asr.models.filters import FilterBank
from asr.models.network import FrameEncoder, Network, SpellingNetwork


class WaveformNetwork(nn.Module):
    """A learnt filter bank in the place of features, and any network behind it.

    Args:
        filters: from samples to as many features as the body takes.
        body: the network behind.
    """

    def __init__(self, filters: FilterBank, body: Network) -> None:
        super().__init__()
        self.filters = filters
        self.body = cast(nn.Module, body)
        self.subsampling_factor = body.subsampling_factor
        self.receptive_field = (
            None
            if body.receptive_field is None
            else body.receptive_field + filters.receptive_field - 1
        )
        self.class_layer = f"body.{body.class_layer}"

    @property
    def _network(self) -> SpellingNetwork:
        return cast(SpellingNetwork, self.body)

    @property
    def intermediate(self) -> ClassHead | None:
        """The body's."""
        return self._network.intermediate

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Compute class scores before the softmax.

        Args:
            frames: (N, T, hop_length) samples; what stands beyond a length is ignored.
            lengths: (N,) frames, 0..T.

        Returns:
            logits (T', N, C) and their lengths (N,), those of the body.
        """
        return self._network(self.filters(frames, lengths), lengths)

    def encode(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What the body's classes are read from."""
        return cast(FrameEncoder, self.body).encode(self.filters(frames, lengths), lengths)

    def with_characters(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, and logits of characters by the body's intermediate layer."""
        return self._network.with_characters(self.filters(frames, lengths), lengths)

    def output_lengths(self, feature_lengths: Tensor) -> Tensor:
        """Frames T' that come out for that many frames of samples."""
        return self._network.output_lengths(feature_lengths)
