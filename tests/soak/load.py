"""Searches by upload during an addition, compared with the encoder and store alone.

The service and the library's own searches alternate in one process and one archive, with the same
store, job and progress requests. Uploads and progress requests come from two other light
processes (http.client) on the same cores.
"""

import hashlib
import http.client
import io
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from imgsearch.archive import CollectionOptions, opened
from imgsearch.encoders import load
from imgsearch.images import decode
from imgsearch.images.sources import read
from imgsearch.service import Limits, server
from imgsearch.types import Record
from tests.benchmarks.tuning import crop, gallery
from tests.pictures import picture
from tests.service.running import served

WIDTHS = (1, 8, 32)
ROUNDS = 3  # alternations of library and service for each width
QUERIES = 200  # query images
K = 10
SEED = 2026
CHUNK = 5_000  # vectors of one insert
EVERY = 0.05  # seconds between two progress requests
WANTED, PROMPT = 0.9, 0.1  # share of the library's searches/s; seconds of a progress response


def main(vectors=50_000, seconds=5.0, widths=WIDTHS, files=6_000, rounds=ROUNDS):
    print(
        f"load: {vectors:,} vectors by classic, k = {K}, searches by upload while a folder is added"
    )
    results = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        name, paths = gallery(folder)
        queries = _queries(folder / "queries", paths)
        with _service(folder) as (archive, jobs, url):
            _fill(archive, paths, vectors)
            print(
                f"  crops of {len(paths):,} images of {name}; {len(queries)} of them as JPEG of "
                f"{sum(map(len, queries)) / len(queries) / 1e3:.0f} kB are searched for; "
                f"{rounds} rounds of {seconds:g} s each; {archive.catalog.count():,} rows"
            )
            _processor(archive, url, folder, queries, seconds, rounds)
            for width in widths:
                _drawn(folder / "photos" / str(width), files, 10**6 * width)
                job = jobs.start_folder(str(folder / "photos" / str(width)))
                next(state for state in jobs.watch(job.id) if state.state != "queued")
                measured = _measured(
                    archive, url, job, jobs, folder, queries, width, seconds, rounds
                )
                results.append(measured)
                jobs.cancel(job.id)
                *_, ended = jobs.watch(job.id)
                print(f"    the job added {ended.inserted:,} images meanwhile", flush=True)
    return results


def _measured(archive, url, job, jobs, folder, queries, width, seconds, rounds):
    ours, theirs = [], []
    answers = {"times": [], "progress": [], "late": [], "failed": 0}
    library = archive.library()

    def search(data):
        # otherwise the job would yield only to the service's searches
        with archive.traffic.search():
            assert library.search(data, k=K)

    for _ in range(rounds):
        with _followed(url, job.id, answers):
            times, failed, lasted = _repeated(search, queries, width, seconds)
        assert not failed, failed[0]
        ours.append(len(times) / lasted)
        with _followed(url, job.id, answers):
            got = _uploaded(url, folder / "queries", width, seconds)
        theirs.append(len(got["times"]) / got["lasted"])
        answers["times"] += got["times"]
        answers["failed"] += got["failed"]
    over = jobs.get(job.id).state != "running"
    times, progress = np.array(answers["times"]) * 1e3, np.array(answers["progress"]) * 1e3
    p50, p95, p99 = np.percentile(times, (50, 95, 99))
    ratio = sum(theirs) / sum(ours)
    print(
        f"  {width} clients: {sum(theirs) / rounds:.1f} searches/s, p50 {p50:.1f}, p95 {p95:.1f}, "
        f"p99 {p99:.1f} ms (n = {len(times):,}); library {sum(ours) / rounds:.1f}/s; ratio "
        f"{ratio:.2f} ({min(_ratios(theirs, ours)):.2f} to {max(_ratios(theirs, ours)):.2f}), "
        f"wanted {WANTED}"
    )
    print(
        f"    progress: p50 {np.median(progress):.1f}, most {progress.max():.1f} ms (n = "
        f"{len(progress):,}), wanted under {PROMPT * 1e3:.0f}; who asks woke up at most "
        f"{max(answers['late'], default=0) * 1e3:.1f} ms late; failed requests {answers['failed']}"
        + ("; the job was over before the end" if over else ""),
        flush=True,
    )
    return {
        "width": width,
        "ratio": ratio,
        "p99": p99,
        "progress": progress.max(),
        "failed": answers["failed"],
    }


def _processor(archive, url, folder, queries, seconds, rounds):
    """Print the processor time of a search in this process, without a job.

    It does not depend on other load, and gives the rate of a fully used machine.
    """
    library, spent = archive.library(), {"library": [], "service": []}
    rates = {"library": [], "service": []}
    for _ in range(rounds):
        before = process_time()
        times, failed, lasted = _repeated(
            lambda data: library.search(data, k=K), queries, 1, seconds
        )
        assert not failed, failed[0]
        spent["library"].append((process_time() - before) / len(times))
        rates["library"].append(len(times) / lasted)
        before = process_time()
        got = _uploaded(url, folder / "queries", 1, seconds)
        spent["service"].append((process_time() - before) / len(got["times"]))
        rates["service"].append(len(got["times"]) / got["lasted"])
    ours, theirs = (1e3 * statistics.median(times) for times in spent.values())
    print(
        f"  processor time of a search: library {ours:.1f} ms, service {theirs:.1f} ms, ratio "
        f"{ours / theirs:.2f} (medians of {rounds} rounds)"
    )
    ours, theirs = (sum(times) / rounds for times in rates.values())
    print(
        f"  1 client without the job: service {theirs:.1f}, library {ours:.1f} searches/s, ratio "
        f"{theirs / ours:.2f}",
        flush=True,
    )


def _ratios(theirs, ours):
    return [one / other for one, other in zip(theirs, ours, strict=True)]


@contextmanager
def _service(folder):
    """Yield an archive, its jobs, and the URL of a service over both."""
    with opened(folder / "data", creation=CollectionOptions("classic"), roots=(folder,)) as archive:
        running = server.running(
            archive, keys=None, limits=Limits(), hosts=server.LOOPBACK, page=False
        )
        with running as app, served(app) as url:
            yield archive, app.state.service.jobs, url


def _queries(folder, paths):
    """Write some of the images as JPEG; return their bytes."""
    folder.mkdir()
    chosen = [paths[place] for place in range(0, len(paths), max(1, len(paths) // QUERIES))]
    for place, path in enumerate(chosen[:QUERIES]):
        file = folder / f"{place:03d}.jpg"
        Image.fromarray(decode(read(path), path=path)).save(file, quality=90)
    return [file.read_bytes() for file in sorted(folder.iterdir())]


def _drawn(folder, number, first):
    """Write pictures of a small photograph's size for a job."""
    (folder / "größe").mkdir(parents=True)
    for number_drawn in range(number):
        file = io.BytesIO()
        Image.fromarray(picture(first + number_drawn, (320, 240))).save(file, "JPEG", quality=85)
        (folder / "größe" / f"{number_drawn:05d}.jpg").write_bytes(file.getvalue())


def _fill(archive, paths, number):
    """Insert vectors of crops, and give them rows."""
    encoder, rng = load("classic"), np.random.default_rng(SEED)
    library, crops_per_image = archive.library(), -(-number // len(paths))
    waiting, started = [], perf_counter()
    for done, path in enumerate(itertools.islice(paths, -(-number // crops_per_image))):
        image = decode(read(path), path=path)
        rows = encoder.encode(
            [crop(image, rng) for _ in range(min(crops_per_image, number - done * crops_per_image))]
        )
        for place, row in enumerate(rows):
            name = f"{Path(path).name}, crop {place}"
            id_ = hashlib.sha256(f"{path} {place}".encode()).hexdigest()
            waiting.append(Record(id_, row, {"path": name, "label": ""}))
        if len(waiting) >= CHUNK:
            library.insert(waiting)
            waiting = []
    if waiting:
        library.insert(waiting)
    # a job also does this at its end; until then rows are compared one by one
    library.collection.flush()
    archive.repair()
    assert archive.count().vectors == number
    print(f"  filled in {perf_counter() - started:.0f} s", flush=True)


def _repeated(work, queries, width, seconds):
    """Call `work` with one query after another in `width` threads, for some seconds.

    Return the times of successful calls, the failures, and the total duration.
    """
    times, failed, began = [], [], perf_counter()
    ends = began + seconds
    turns = itertools.count()

    def run():
        while (started := perf_counter()) < ends:
            try:
                work(queries[next(turns) % len(queries)])
                times.append(perf_counter() - started)
            except (AssertionError, OSError, http.client.HTTPException) as error:
                failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(width)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, failed, perf_counter() - began


def _uploaded(url, folder, width, seconds):
    """Let another process search by upload; return its measurements."""
    words = [sys.executable, "-m", "tests.soak.load", "search", url, str(folder), str(width)]
    done = subprocess.run([*words, str(seconds)], check=True, capture_output=True)
    return json.loads(done.stdout)


@contextmanager
def _followed(url, job, answers):
    """Let a third process request a job's progress; record the times of its responses.

    Also record how late that process woke up, which is caused by other load.
    """
    words = [sys.executable, "-m", "tests.soak.load", "follow", url, job]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield
        output, _ = process.communicate()
    assert process.returncode == 0
    for name, times in json.loads(output).items():
        answers[name] += times


def _search(url, folder, width, seconds):
    """Search by upload; print the times as JSON."""
    host, local = urlsplit(url).netloc, threading.local()
    queries = [_form(file.read_bytes()) for file in sorted(Path(folder).iterdir())]

    def search(body):
        if not hasattr(local, "http"):
            local.http = http.client.HTTPConnection(host, timeout=60)
        headers = {"Content-Type": "multipart/form-data; boundary=grenze"}
        local.http.request("POST", "/v1/search", body, headers)
        answer = local.http.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        assert json.loads(body)["hits"]

    times, failed, lasted = _repeated(search, queries, int(width), float(seconds))
    print(json.dumps({"times": times, "failed": len(failed), "lasted": lasted}))


def _follow(url, job):
    """Request a job's progress until the pipe closes; print the times as JSON."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    over, progress, late = threading.Event(), [], []
    threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
    print("following", flush=True)
    while True:
        started = perf_counter()
        connection.request("GET", f"/v1/jobs/{job}")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        answered = perf_counter()
        progress.append(answered - started)
        if over.wait(EVERY):
            break
        late.append(perf_counter() - answered - EVERY)
    print(json.dumps({"progress": progress, "late": late}))


def _form(data):
    start = '--grenze\r\nContent-Disposition: form-data; name="file"; filename="ü.jpg"\r\n'
    field = f'--grenze\r\nContent-Disposition: form-data; name="k"\r\n\r\n{K}\r\n'
    head = f"{field}{start}Content-Type: image/jpeg\r\n\r\n".encode()
    return head + data + b"\r\n--grenze--\r\n"


if __name__ == "__main__":
    {"search": _search, "follow": _follow}[sys.argv[1]](*sys.argv[2:])
