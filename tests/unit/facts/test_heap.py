"""Freed memory stays with the process."""

import os
import platform
import subprocess
import sys

import pytest

from videomac.facts.heap import FREED_MEMORY_STAYS

PROBE = """
import resource
import numpy as np
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
    for what, environment in {"keep": FREED_MEMORY_STAYS, "give back": {}}.items():
        plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        command = [sys.executable, "-c", PROBE]
        probe = subprocess.run(command, env=plain | environment, capture_output=True, text=True, check=True)
        found[what] = int(probe.stdout)
    assert found["keep"] < 5 <= found["give back"]
