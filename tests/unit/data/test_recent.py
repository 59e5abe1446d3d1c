import gc
import weakref

from videomac.data.recent import Recent


class Value:
    alive: weakref.WeakSet = weakref.WeakSet()

    def __init__(self, key):
        self.key, self.company = key, len(self.alive)
        self.alive.add(self)


def test_the_newest_values_are_kept_and_made_once():
    made = []
    recent = Recent(2, lambda key: made.append(key) or key * 10)
    assert [recent(key) for key in (1, 2, 1, 3, 2, 1)] == [10, 20, 10, 30, 20, 10]
    assert made == [1, 2, 3, 1]


def test_room_is_made_before_the_next_value():
    recent = Recent(2, Value)
    company = []
    for key in range(5):
        company.append(recent(key).company)
        gc.collect()
    assert company == [0, 1, 1, 1, 1], "never three at a time"
