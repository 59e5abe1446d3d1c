"""Freed memory stays with the process."""

import platform
import subprocess
import sys

import pytest

PROBE = """
import resource, sys
import numpy as np
from videomac.pretrain.heap import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(48 << 20, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_the_second_use_of_as_much_memory_meets_no_page_faults():
    found = {}
    for what in ("keep", "give back"):
        probe = subprocess.run([sys.executable, "-c", PROBE, what], capture_output=True, text=True, check=True)
        found[what] = int(probe.stdout)
    assert found["keep"] < 5 <= found["give back"]
