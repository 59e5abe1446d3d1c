import subprocess
import sys


def test_decode_actors_need_no_torch():
    code = "import sys, videomac.distributed.decoding as d; sys.exit('torch' in sys.modules or not d.DecodeActor)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
