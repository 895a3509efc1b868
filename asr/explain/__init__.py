"""A look inside a network: what of a recording a word's score rests on, layer by layer."""
