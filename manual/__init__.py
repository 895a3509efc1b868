"""Pages of the documentation that are written by reading the code; its pictures."""
