"""What keeps Ray from starting or answering, told at once: Ray itself waits for minutes, or says less than it knows."""

from __future__ import annotations

import os
import re
import socket
import tempfile

from videomac.errors import ClusterError

CONNECT_TIMEOUT_S = 10.0
"""A head that is there answers within milliseconds; one behind a slow network within this time."""
LONGEST_SOCKET = 107
"""Bytes in the path of a socket that Linux allows."""
SOCKET_BELOW = "ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"
"""Where Ray puts its sockets, below the folder for temporary files."""
AUTHENTICATION = re.compile(r"auth.{0,20}token|unauthenticated|unauthorized", re.IGNORECASE)


def refuse_long_temporary_folder() -> None:
    """Check that Ray's sockets fit below the folder for temporary files.

    Raises:
        ClusterError: its path is too long.
    """
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    most = LONGEST_SOCKET - len(SOCKET_BELOW) - 1
    if len(os.fsencode(folder)) > most:
        raise ClusterError(
            f"TMPDIR={folder}: {len(os.fsencode(folder))} bytes are too long for the sockets that Ray makes there, "
            f"which leave room for {most}; set TMPDIR or RAY_TMPDIR to a shorter path"
        )


def refuse_silent_address(address: str) -> None:
    """Check that somebody listens where a cluster's address says.

    Raises:
        ClusterError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # "auto", or what only Ray understands
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ClusterError(
            f"RAY_ADDRESS={address}: nobody answers there ({error}); the cluster has ended or is elsewhere: correct "
            "the address, or unset RAY_ADDRESS to run on this machine alone"
        ) from error


def advice_for(error: Exception, address: str) -> str | None:
    """Return what to do about an error of Ray's whose cause its text tells, None for others."""
    if AUTHENTICATION.search(str(error)):
        return (
            f"the cluster at {address} asks for a token: set RAY_AUTH_MODE=token here, with RAY_AUTH_TOKEN or "
            "RAY_AUTH_TOKEN_PATH if the token is not in ~/.ray/auth_token"
        )
    home = os.path.expanduser("~")
    if isinstance(error, OSError) and str(error.filename or "").startswith(home):
        return (
            f"HOME={home}: Ray cannot keep its token there ({error}); set HOME to a folder that can be written to, or "
            "RAY_AUTH_MODE=disabled where nobody else uses this machine"
        )
    return None
