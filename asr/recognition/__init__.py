"""Audio to text: the recogniser, and the formats of what it says."""
