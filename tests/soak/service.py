"""A service in a separate process, started by `imgsearch serve`."""

import re
import subprocess
import sys
import threading
from collections import deque
from contextlib import contextmanager
from pathlib import Path

import psutil


class Service:
    """A running service: its URL, its process, and the last lines of its output."""

    def __init__(self, process):
        self._process = process
        self.inside = psutil.Process(process.pid)
        self.lines = deque(maxlen=200)
        self._listening = threading.Event()
        self.url = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listening.wait(120) or not self.url:
            process.kill()
            raise AssertionError("".join(self.lines))

    def resident(self):
        """Return the peak of resident memory in MB (Linux's VmHWM)."""
        status = Path(f"/proc/{self.inside.pid}/status").read_text()
        match = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(match[1]) / 1e3

    @property
    def alive(self):
        return self._process.poll() is None

    def exit_code(self):
        """Wait until the process has ended by itself; return its exit status."""
        return self._process.wait(120)

    def close(self):
        self._process.terminate()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._reader.join(10)
            self._process.stderr.close()

    def _read(self):
        for line in self._process.stderr:
            self.lines.append(line)
            match = re.search(r"http://[\w.:]+", line)
            if not self.url and match:
                self.url = match[0]
                self._listening.set()
        self._listening.set()  # the process ended


@contextmanager
def service(folder, *words):
    """Run a service without keys over `folder` within the block."""
    command = [sys.executable, "-m", "imgsearch", "serve", "--data", str(folder)]
    command += ["--no-auth", "--port", "0", "--no-page", "--model", "lite", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    running = Service(process)
    try:
        yield running
    finally:
        running.close()
