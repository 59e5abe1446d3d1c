import av
import pytest

from videomac.data.open_clip import decoder_version
from videomac.errors import DataError


def test_a_decoder_that_is_not_there_stops_everything(monkeypatch):
    assert decoder_version("pyav") == f"pyav {av.__version__}"
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(DataError, match=r"data\.decoder=pyav: cannot be imported .*pip install av"):
        decoder_version("pyav")
