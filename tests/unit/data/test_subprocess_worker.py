import json
import os
import signal
import threading
import time

import pytest

from tests.unit.data.handlers import Did, Wish
from videomac.config import Bounds
from videomac.data.status import BadClip, Code
from videomac.data.subprocess_worker import PASSED_ON, Child
from videomac.errors import DataError, StorageError

pytestmark = pytest.mark.integration

TARGET = "tests.unit.data.handlers:misbehaving"
BOUNDS = Bounds(decode_timeout_s=5.0, max_memory_mb=256, max_file_mb=64)
DONE, PASSED_OVER = (Did(), b"12345"), (Did(done=False), b"12345")


@pytest.fixture(scope="module")
def child():
    one = Child(TARGET, b"", BOUNDS)
    yield one
    one.close()


def ask(child, what, cpu_s=None, content=b"12345", **wish):
    return child.call(Wish(do=what, **wish), Did, content, cpu_s, what="k")


def test_bytes_come_back_and_the_process_stays(child):
    assert ask(child, "nothing") == DONE
    process = child._process
    big = os.urandom(3 << 20)
    assert ask(child, "nothing", content=big)[1] == big
    assert child._process is process


def test_answers_are_received_where_they_are_wanted_and_memory_is_given_back(child):
    target = bytearray(5)
    assert child.call(Wish(), Did, b"12345", into=memoryview(target))[0] == Did()
    assert target == b"12345"
    big = os.urandom(40 << 20)
    assert ask(child, "nothing", content=big)[1] == big
    assert os.fstat(child._memory.descriptor).st_size == 40 << 20
    assert ask(child, "nothing", content=b"")[1] == b""
    assert os.fstat(child._memory.descriptor).st_size == 4 << 20


@pytest.mark.parametrize("what", ["segfault", "null", "exit"])
def test_a_process_that_fails_of_itself_twice_is_the_clips_fault(child, what, tmp_path):
    with pytest.raises(BadClip) as bad:
        ask(child, what)
    assert bad.value.code is Code.CRASH
    assert ask(child, what, once=str(tmp_path / "once")) == PASSED_OVER, "once is bad luck"


@pytest.mark.parametrize("what", ["spin", "sleep"])
def test_time_is_bounded_by_cpu_and_by_the_clock(child, what):
    begin = time.monotonic()
    with pytest.raises(BadClip) as bad:
        ask(child, what, cpu_s=0.1)
    assert bad.value.code is Code.TIMEOUT
    assert time.monotonic() - begin < 15


def test_a_kill_from_outside_is_never_the_clips_fault(child, tmp_path, monkeypatch):
    monkeypatch.setattr("videomac.data.subprocess_worker.KILLS_BEFORE_GIVING_UP", 3)
    assert ask(child, "kill", once=str(tmp_path / "once")) == PASSED_OVER
    with pytest.raises(DataError, match=r"killed 3 times on k \(SIGKILL\): out of memory\?"):
        ask(child, "kill")
    assert ask(child, "nothing") == DONE


def test_a_kill_in_mid_request_is_answered_by_the_next_process(child, tmp_path):
    marker = tmp_path / "once"

    def kill_when_busy():
        while not marker.exists():
            time.sleep(0.01)
        os.kill(child._process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_when_busy)
    killer.start()
    assert ask(child, "sleep", once=str(marker)) == PASSED_OVER
    killer.join()


def test_our_own_mistakes_are_raised_not_counted(child):
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        ask(child, "raise")


def test_a_full_disk_is_never_the_clips_fault(child):
    """/dev/full refuses every byte, as a full disk does."""
    with pytest.raises(StorageError, match=r": no space left on device; free some space, or set TMPDIR to"):
        ask(child, "fill")
    assert ask(child, "nothing") == DONE


def test_a_handler_may_refuse_a_clip_and_goes_on(child):
    ask(child, "nothing")
    process = child._process
    with pytest.raises(BadClip, match="broken: not a video") as bad:
        ask(child, "refuse")
    assert bad.value.code is Code.BROKEN
    assert ask(child, "nothing") == DONE
    assert child._process is process


def test_the_child_knows_no_credentials(child, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "WANDB_API_KEY", "HOME"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LC_CTYPE", "C.UTF-8")
    child.close()

    found = json.loads(ask(child, "environment")[0].told)

    assert set(found) <= {*PASSED_ON, "PYTHONPATH", "OMP_NUM_THREADS"}
    assert found["LC_CTYPE"] == "C.UTF-8"
    assert "secret" not in found.values()


def test_the_child_has_a_session_of_its_own_and_leaves_no_core_dumps(child):
    assert ask(child, "session")[0].told == "True"
    assert ask(child, "core")[0].told == "(0, 0)"


def test_memory_is_bounded_for_each_clip(child, tmp_path):
    assert ask(child, "allocate", size_mb=150) == DONE
    with pytest.raises(BadClip, match=r"too_much_memory: needs more than bounds\.max_memory_mb = 256") as bad:
        ask(child, "allocate", size_mb=400)
    assert bad.value.code is Code.TOO_MUCH_MEMORY
    assert ask(child, "allocate", size_mb=400, once=str(tmp_path / "once")) == PASSED_OVER, "once may be bad luck"
    assert ask(child, "nothing") == DONE


def test_a_file_is_bounded(child):
    assert ask(child, "write", size_mb=60) == DONE
    with pytest.raises(BadClip, match=r"too_many_bytes: would write a file larger than bounds\.max_file_mb") as bad:
        ask(child, "write", size_mb=70)
    assert bad.value.code is Code.TOO_MANY_BYTES


def test_a_child_that_cannot_start_says_so():
    with pytest.raises(DataError, match=r"decoding process does not start: .*no_such"):
        Child("tests.unit.data.no_such:handler", b"", BOUNDS).call(Wish(), Did)


def test_the_child_ends_with_its_parents_end():
    one = Child(TARGET, b"", BOUNDS)
    ask(one, "nothing")
    process = one._process
    one._socket.close()
    assert process.wait(timeout=10) == 0
    one.close()
