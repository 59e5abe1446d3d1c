import subprocess
import sys
import threading

import pytest

from videomac.distributed.data.actor import ahead


@pytest.mark.integration
def test_decode_actors_need_no_torch():
    code = "import sys, videomac.distributed.data.actor as d; sys.exit('torch' in sys.modules or not d.DecodeActor)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_next_batch_is_made_while_one_is_handed_on():
    made = [threading.Event() for _ in range(3)]

    def batches():
        for number, event in enumerate(made):
            event.set()
            yield {"number": number}
        raise ValueError("the end")

    stream = ahead(batches())
    assert next(stream) == {"number": 0}
    assert made[1].wait(5)
    assert [next(stream)["number"], next(stream)["number"]] == [1, 2]
    with pytest.raises(ValueError, match="the end"):
        next(stream)
