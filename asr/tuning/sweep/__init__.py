"""A search over a training's settings: where it looks, its study on disk, its table and page."""
