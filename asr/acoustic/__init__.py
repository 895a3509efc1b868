"""The acoustic model: waveforms of any length in, log-probabilities of the classes out."""
