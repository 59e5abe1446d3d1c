"""What Ray would wait for, or say badly, is told at once."""

from __future__ import annotations

import socket

import pytest

from videomac.distributed.preflight import advice_for, refuse_long_temporary_folder, refuse_silent_address
from videomac.errors import ClusterError


def test_an_address_where_nobody_listens_is_refused_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"RAY_ADDRESS={address}: nobody answers there .* or unset RAY_ADDRESS"):
            refuse_silent_address(address)
        with pytest.raises(ClusterError, match="nobody answers there"):
            refuse_silent_address(f"ray://{address}")


def test_an_address_where_somebody_listens_passes():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert refuse_silent_address(f"127.0.0.1:{server.getsockname()[1]}") is None
    assert refuse_silent_address("auto") is None


def test_a_temporary_folder_whose_path_is_too_long_for_sockets_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/" + 38 * "x")
    assert refuse_long_temporary_folder() is None
    monkeypatch.setenv("RAY_TMPDIR", "/" + 39 * "x")
    with pytest.raises(ClusterError, match=r"40 bytes are too long for the sockets .* room for 39; set TMPDIR"):
        refuse_long_temporary_folder()


@pytest.mark.parametrize("text", ["InvalidAuthToken: no token", "Unauthenticated: missing", "Unauthorized"])
def test_a_cluster_that_asks_for_a_token_is_told_from_others(text):
    advice = advice_for(RuntimeError(text), "head:6379")
    assert advice is not None
    assert "set RAY_AUTH_MODE=token here" in advice
    assert advice_for(RuntimeError("timed out"), "head:6379") is None


def test_a_home_that_cannot_be_written_to_is_named(monkeypatch):
    monkeypatch.setenv("HOME", "/proc/nowhere")
    advice = advice_for(PermissionError(13, "Permission denied", "/proc/nowhere/.ray"), "local")
    assert advice is not None
    assert advice.startswith("HOME=/proc/nowhere: Ray cannot keep its token there")
