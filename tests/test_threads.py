"""An executor whose threads never keep the process alive."""

import gc
import platform
import subprocess
import sys
import threading
import weakref

import pytest

from imgsearch.threads import DaemonPool, available_cores


def test_pool_maps_in_order_and_raises_errors():
    with DaemonPool(3, "größe") as pool:
        assert list(pool.map(str, range(50))) == [str(number) for number in range(50)]
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()
    with pytest.raises(RuntimeError, match="größe is closed"):
        pool.submit(print)


def test_pool_waits_for_all_tasks_at_the_end_of_the_block():
    results = []
    with DaemonPool(2, "all") as pool:
        for number in range(20):
            pool.submit(results.append, number)
    assert sorted(results) == list(range(20))


def test_tasks_run_in_parallel_up_to_the_number_of_threads():
    together = threading.Barrier(3)
    with DaemonPool(3, "three") as pool:
        names = [
            future.result()
            for future in [
                pool.submit(lambda: (together.wait(10), threading.current_thread().name)[1])
                for _ in range(3)
            ]
        ]
        names += pool.map(lambda _: threading.current_thread().name, range(30))
    assert len(set(names)) == 3


def test_hanging_task_blocks_neither_close_nor_exit():
    release, started = threading.Event(), threading.Event()
    pool = DaemonPool(1, "hang")
    hanging = pool.submit(lambda: (started.set(), release.wait()))
    waiting = pool.submit(print)
    assert started.wait(10)
    assert not pool.close(0)
    assert waiting.cancelled()
    thread = next(thread_ for thread_ in threading.enumerate() if thread_.name.startswith("hang-"))
    assert thread.daemon  # the interpreter joins only other threads
    release.set()
    assert hanging.result()
    assert pool.close()


def test_larger_pool_continues_past_a_hanging_task_and_shrinks():
    release = threading.Event()
    with DaemonPool(1, "grows") as pool:
        hanging = pool.submit(release.wait)
        other = pool.submit(threading.current_thread)
        assert not other.done()
        pool.resize(2)
        other.result(10)
        pool.resize(1)
        release.set()
        assert hanging.result(10)
        assert pool.submit(str, 1).result(10) == "1"


def test_unreferenced_pool_ends_its_threads():
    pool = DaemonPool(1, "dropped")
    thread = pool.submit(threading.current_thread).result()
    reference = weakref.ref(pool)
    del pool
    gc.collect()
    assert reference() is None
    thread.join(10)
    assert not thread.is_alive()


def test_pool_is_closed_while_its_threads_end():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            pool = DaemonPool(20, "many")
            list(pool.map(abs, range(20)))
            pool.close(0)  # raised "Set changed size during iteration"
    finally:
        sys.setswitchinterval(interval)


POOLS = """
import ctypes, threading
from imgsearch.threads import share_memory

share_memory()
together = threading.Barrier(12)


def work():
    data = bytearray(50_000)
    together.wait(30)


threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(b"malloc.xml", b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.process
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have no such pools")
def test_threads_of_a_worker_share_pools_of_memory(tmp_path):
    subprocess.run([sys.executable, "-c", POOLS], cwd=tmp_path, check=True, timeout=60)
    pools = (tmp_path / "malloc.xml").read_text().count("<heap nr=")
    assert pools <= max(2, available_cores())
