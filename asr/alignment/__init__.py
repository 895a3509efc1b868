"""Known texts to times: when each word and token of an utterance was spoken."""
