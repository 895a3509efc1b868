"""Manifests, and from their utterances to batches."""
