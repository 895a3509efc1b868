"""Recordings as people have them, piece by piece: audio files, and the sound of videos."""
