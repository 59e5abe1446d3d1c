import numpy as np

from videomac.data import decode_worker


def test_a_part_has_frames_of_one_size():
    class Changing:
        times_s = np.arange(5.0)

        def pictures(self, numbers):
            yield from ((n, np.zeros((4, 4 if n < 3 else 6, 3), np.uint8)) for n in numbers)

        def close(self):
            pass

    assert [f.shape for f in decode_worker.frames_up_to(Changing(), 0, 1 << 20)] == [(4, 4, 3)] * 3
    assert [f.shape for f in decode_worker.frames_up_to(Changing(), 3, 1)] == [(4, 6, 3)]
    assert len(decode_worker.frames_up_to(Changing(), 0, 48)) == 2, "until they take more than this"
    assert len(decode_worker.frames_up_to(Changing(), 0, 0)) == 0
