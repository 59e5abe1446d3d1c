"""Errors that a user can act on, and where they are found in what Ray raises."""

import pickle

import ray.exceptions

from videomac.errors import StorageError, VideomacError, our_cause


def as_ray_raises(error: Exception) -> Exception:
    """Return what `ray.get` raises for a task that raised `error`."""
    wrapped = ray.exceptions.RayTaskError("task", "traceback", error)
    return wrapped.as_instanceof_cause()


def test_of_an_error_of_both_classes_the_tasks_own_is_returned():
    raised = as_ray_raises(StorageError("a.tar: damaged"))
    assert isinstance(raised, VideomacError), "Ray's error has the class of the task's"

    found = our_cause(raised)

    assert type(found) is StorageError
    assert str(found) == "a.tar: damaged"
    again = pickle.loads(pickle.dumps(found))
    assert (type(again), str(again.restated("b"))) == (StorageError, "b")


def test_an_error_of_ours_is_found_below_others():
    outer = RuntimeError("outside")
    outer.__cause__ = as_ray_raises(StorageError("inside"))

    assert str(our_cause(outer)) == "inside"
    assert our_cause(RuntimeError("none")) is None
    assert our_cause(None) is None
