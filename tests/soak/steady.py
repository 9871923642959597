"""Mixed load on a service for minutes: memory, threads and descriptors must not grow."""

import itertools
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

from tests.service.running import jpeg
from tests.soak.service import service

CLIENTS = 4
WARM = 0.25  # share of the time, after which caches are filled
EVERY = 5.0  # seconds between two samples
MOST_GROWTH = 0.10  # of resident memory, between the second and the last quarter
MOST_MORE = 8  # threads or descriptors, likewise


def main(seconds=600):
    print(f"steady: {CLIENTS} clients upload, search, list, show and delete for {seconds} s")
    samples, answers = [], Counter()
    with tempfile.TemporaryDirectory() as folder, service(Path(folder) / "data") as running:
        ends = time.monotonic() + seconds
        clients = [
            threading.Thread(target=_client, args=(running.url, seed, ends, answers))
            for seed in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        while time.monotonic() < ends:
            time.sleep(min(EVERY, max(0.0, ends - time.monotonic())))
            samples.append(_sample(running.inside))
        for client in clients:
            client.join(60)
        assert running.alive
    print("  answers:", dict(sorted(answers.items())))
    assert not [status for status in answers if status >= 500]
    return _judged(samples[int(len(samples) * WARM) :])


def _client(url, seed, ends, answers):
    """Send the requests of users in turn; every added image is deleted again."""
    draw = random.Random(seed)  # noqa: S311  # no secret
    with httpx.Client(base_url=url, timeout=60) as client:
        for number in itertools.count(seed * 10**6):
            if time.monotonic() > ends:
                return
            for answer in _round(client, number, draw):
                answers[answer.status_code] += 1


def _round(client, number, draw):
    picture = {"file": (f"{number}.jpg", jpeg(number), "image/jpeg")}
    added = client.post("/v1/images", files=picture)
    yield added
    image = added.json()["images"][0]
    yield client.post("/v1/search", files={"file": jpeg(number + draw.randrange(9))})
    yield client.post("/v1/search", json={"text": draw.choice(["a dog", "red house", "the sea"])})
    yield client.post("/v1/images", files={"file": ("x.jpg", b"\xff\xd8\xff broken")})
    yield client.get(image["thumbnail"])
    yield client.get(image["original"])
    yield client.get("/v1/images", params={"limit": 20})
    yield client.get("/v1/images/unknown")
    yield client.delete(f"/v1/images/{image['id']}")


def _sample(process):
    """Return resident megabytes, threads and descriptors."""
    return process.memory_info().rss / 1e6, process.num_threads(), process.num_fds()


def _judged(samples):
    """Compare the medians of the first and last third."""
    third = max(1, len(samples) // 3)
    early = [statistics.median(column) for column in zip(*samples[:third], strict=True)]
    late = [statistics.median(column) for column in zip(*samples[-third:], strict=True)]
    for name, before, after in zip(("MB", "threads", "descriptors"), early, late, strict=True):
        print(f"  {name}: {before:.0f} early, {after:.0f} late (medians of {third} samples)")
    assert late[0] <= early[0] * (1 + MOST_GROWTH), "memory grows"
    assert late[1] <= early[1] + MOST_MORE, "threads grow"
    assert late[2] <= early[2] + MOST_MORE, "descriptors grow"
    return early, late
