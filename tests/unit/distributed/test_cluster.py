"""A cluster that is not to be had is an error that says what to do."""

import pytest
import ray

from videomac.distributed.cluster import connected
from videomac.errors import ClusterError


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, r"Ray did not start on this machine \(too slow\).*try again.*logs"),
        ("10.0.0.1:6379", r"RAY_ADDRESS=10.0.0.1:6379 \(too slow\).*ray start --head.*unset RAY_ADDRESS"),
    ],
)
def test_no_cluster_is_an_error_with_a_way_out(monkeypatch, address, said):
    def init(**_):
        raise Exception("too slow")  # the class that Ray raises

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)

    with pytest.raises(ClusterError, match=said), connected():
        pass
