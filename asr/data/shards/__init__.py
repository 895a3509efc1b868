"""Utterances in tar files with an index, read in the order in which they lie."""
