import subprocess
import sys

_SCRIPT = """
import gc, sys
from imgsearch.service.interpreter import answering

def told():
    return gc.get_threshold(), sys.getswitchinterval(), gc.get_freeze_count()

before = told()
try:
    with answering():
        during = told()
        raise KeyError
except KeyError:
    assert told() == before
assert during[0] > before[0]
assert during[1] < before[1]
assert during[2] > 1_000  # what is there is not looked at again
"""


def test_what_is_the_process_s_comes_back():
    subprocess.run([sys.executable, "-W", "error", "-c", _SCRIPT], check=True)
