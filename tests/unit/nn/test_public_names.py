"""`from videomac.nn import ...`: what it offers, and what it does not drag in."""

from __future__ import annotations

import subprocess
import sys

import pytest

import videomac.nn


def test_the_public_names_are_there():
    assert sorted(videomac.nn.__all__) == videomac.nn.__all__
    assert all(hasattr(videomac.nn, name) for name in videomac.nn.__all__)


@pytest.mark.integration
def test_networks_need_neither_ray_nor_a_decoder():
    code = "import sys, videomac.nn; sys.exit(', '.join({'ray', 'av', 'PIL', 'pyarrow', 'timm'} & {*sys.modules}) or 0)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
