import subprocess
import sys

import pytest

_SCRIPT = """
import gc, sys
from imgsearch.service.interpreter import answering

def settings():
    return gc.get_threshold(), sys.getswitchinterval(), gc.get_freeze_count()

before = settings()
try:
    with answering():
        during = settings()
        raise KeyError
except KeyError:
    assert settings() == before
assert during[0] > before[0]
assert during[1] < before[1]
assert during[2] > 1_000  # existing objects are not scanned again
"""


@pytest.mark.long
def test_process_settings_are_restored():
    subprocess.run([sys.executable, "-W", "error", "-c", _SCRIPT], check=True)
