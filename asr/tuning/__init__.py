"""Decoder options that make the fewest errors: space, log-probabilities, search, report."""
