"""The embedded corpus: sentences of a grammar in synthetic voices; nothing is downloaded."""
