"""Requests made up from the server's own OpenAPI: a few of `python tests/fuzz_server.py`."""

import pytest

pytest.importorskip("schemathesis", reason="pip install schemathesis")

from fuzz_server import fuzz


@pytest.mark.slow
def test_no_request_of_its_own_schema_is_a_servers_error(tmp_path, capfd):
    assert fuzz(tmp_path, cases=3, seed=1)

    assert "status 500 and above: 0; stuck: 0; health: ok" in capfd.readouterr().out
