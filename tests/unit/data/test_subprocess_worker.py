import os
import signal
import threading
import time

import pytest

from videomac.data.status import BadClip, Code
from videomac.data.subprocess_worker import Child
from videomac.errors import DataError

pytestmark = pytest.mark.integration

TARGET = "tests.unit.data.handlers:misbehaving"


@pytest.fixture(scope="module")
def child():
    one = Child(TARGET, {})
    yield one
    one.close()


def ask(child, what, cpu_s=5.0, **header):
    return child.call({"do": what, "key": "k", **header}, b"12345", cpu_s)


def test_bytes_come_back_and_the_process_stays(child):
    assert ask(child, "nothing") == ({"done": True}, b"12345")
    pid = child.pid
    big = os.urandom(3 << 20)
    assert child.call({"do": "nothing"}, big, 5.0)[1] == big
    assert child.pid == pid


def test_answers_are_received_where_they_are_wanted_and_memory_is_given_back(child):
    target = bytearray(5)
    assert child.call({"do": "nothing", "key": "k"}, b"12345", 5.0, into=memoryview(target))[0] == {"done": True}
    assert target == b"12345"
    big = os.urandom(40 << 20)
    assert child.call({"do": "nothing", "key": "k"}, big, 5.0)[1] == big
    assert os.fstat(child._memory.descriptor).st_size == 40 << 20
    assert child.call({"do": "nothing", "key": "k"}, b"", 5.0)[1] == b""
    assert os.fstat(child._memory.descriptor).st_size == 4 << 20


@pytest.mark.parametrize("what", ["segfault", "null", "exit"])
def test_a_process_that_fails_of_itself_twice_is_the_clips_fault(child, what, tmp_path):
    with pytest.raises(BadClip) as bad:
        ask(child, what)
    assert bad.value.code is Code.CRASH
    assert ask(child, what, once=str(tmp_path / "once")) == ({"done": False}, b"12345"), "once is bad luck"


@pytest.mark.parametrize("what", ["spin", "sleep"])
def test_time_is_bounded_by_cpu_and_by_the_clock(child, what):
    begin = time.monotonic()
    with pytest.raises(BadClip) as bad:
        ask(child, what, cpu_s=0.1)
    assert bad.value.code is Code.TIMEOUT
    assert time.monotonic() - begin < 15


def test_a_kill_from_outside_is_never_the_clips_fault(child, tmp_path, monkeypatch):
    monkeypatch.setattr("videomac.data.subprocess_worker.KILLS_BEFORE_GIVING_UP", 3)
    assert ask(child, "kill", once=str(tmp_path / "once")) == ({"done": False}, b"12345")
    with pytest.raises(DataError, match=r"killed 3 times on k \(SIGKILL\): out of memory\?"):
        ask(child, "kill")
    assert ask(child, "nothing")[0] == {"done": True}


def test_a_kill_in_mid_request_is_answered_by_the_next_process(child, tmp_path):
    marker = tmp_path / "once"

    def kill_when_busy():
        while not marker.exists():
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_when_busy)
    killer.start()
    assert ask(child, "sleep", once=str(marker)) == ({"done": False}, b"12345")
    killer.join()


def test_our_own_mistakes_are_raised_not_counted(child):
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        ask(child, "raise")


def test_a_child_that_cannot_start_says_so():
    with pytest.raises(DataError, match=r"decoding process does not start: .*no_such"):
        Child("tests.unit.data.no_such:handler", {}).call({}, b"", 1.0)


def test_the_child_ends_with_its_parents_end():
    one = Child(TARGET, {})
    ask(one, "nothing")
    process = one._process
    one._socket.close()
    assert process.wait(timeout=10) == 0
    one.close()
