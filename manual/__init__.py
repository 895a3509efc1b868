"""Pages of the documentation that are written by reading the code: `manual/hook.py` puts them in."""
