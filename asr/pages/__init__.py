"""Pages that people open: one HTML file each, with style sheet and figures in it."""
