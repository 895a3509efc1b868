"""n-gram language models: counted, smoothed, pruned, written as ARPA, read and scored."""
