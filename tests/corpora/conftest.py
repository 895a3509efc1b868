import pytest


@pytest.fixture
def source(tmp_path):
    """Folder of what a user has, empty."""
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def out(tmp_path):
    """Folder of what `prepare` makes of it, not there yet."""
    return tmp_path / "out"
