"""What a user writes, with types: mypy --strict and pyright accept it, and it runs."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import assert_type
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

import imgsearch
from imgsearch import Client, Field, Hit, Library, Query, Record
from imgsearch.library.hits import Hits
from imgsearch.library.interface import SearchableImages
from imgsearch.library.progress import Progress, Report
from imgsearch.types import Value
from tests.pictures import picture


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    for seed in range(4):
        (tmp_path / f"{seed}.png").write_bytes(png(picture(seed)))
    with imgsearch.open(f"memory://{uuid4().hex}", model="classic", fields={"year": int}) as opened:
        opened.add(tmp_path)
        yield opened


def test_objects_are_added_and_searched(library: Library, tmp_path: Path) -> None:
    done: list[Progress] = []
    pixels = picture(7)
    photo = Image.fromarray(pixels)
    report = library.add(photo, on_progress=done.append)
    assert_type(report, Report)
    library.add(pixels, png(pixels), str(tmp_path), tmp_path)
    library.add([("a.png", png(pixels)), ("b.png", pixels)])
    library.add([tmp_path / "0.png", str(tmp_path / "1.png")])
    library.add([{"path": str(tmp_path / "2.png"), "year": 2019}])
    library.add(pd.DataFrame({"path": [str(tmp_path / "3.png")], "year": [2020]}))
    library.add(Image.fromarray(picture(seed)) for seed in (8, 9))
    for query in (photo, pixels, pixels / 255, png(pixels), tmp_path / "0.png"):
        hits = library.search(query, k=3)
        assert_type(hits, Hits)
        assert len(hits) == 3
    vector = library.encode(pixels)
    library.search(vector)
    library.search(vector.tolist())
    library.search(vector[None])
    library.search(Query(pixels).plus(photo, weight=0.5).minus(tmp_path / "1.png"))


def test_hits_are_read(library: Library) -> None:
    for hit in library.search(picture(1), k=2):
        assert_type(hit, Hit)
        assert_type(hit.path, str)
        assert_type(hit.label, str)
        assert_type(hit["path"], Value)
        assert_type(hit.score, float)
        assert_type(library.get(hit.id), Record)


def test_filters_have_three_forms(library: Library) -> None:
    for where in (
        Field("year") >= 2019,
        {"year": {">=": 2019}},
        {"label": ["cat", "dog"], "year": 2019},
        "year >= 2019 and label in ('cat', 'dog')",
        (Field("path").glob("*.png") & ~Field("label").isin(["cat"])) | (Field("year") == 1),
    ):
        library.search(picture(1), where=where)


def test_a_library_is_a_container(library: Library, tmp_path: Path) -> None:
    assert len(library) == 4
    for record in library:
        assert record.id in library
    for full in library.records("year is null", order_by="-path", vectors=True):
        assert_type(full, Record)
    assert tmp_path / "0.png" in library
    several = library.search_many([picture(1), tmp_path / "0.png"], k=2, order_by="path")
    assert_type(several, list[Hits])
    kept = library.search_many([b"no image"], errors="keep")
    assert_type(kept, list[Hits | imgsearch.errors.ImgSearchError])
    assert library.embed([picture(1), tmp_path / "0.png"]).shape[0] == 2
    library.to_parquet(tmp_path / "vectors.parquet")
    with imgsearch.open(tmp_path / "vectors.parquet") as read:
        assert len(read.search(picture(1), k=2, mode="hybrid")) == 2


def test_methods_are_awaited(library: Library) -> None:
    async def use() -> Hits:
        hits = await library.asearch(picture(1), k=1, mode="hybrid", where="year = 0")
        assert_type(hits, Hits)
        return hits

    assert len(asyncio.run(use())) == 1

    async def remote() -> None:
        async with imgsearch.AsyncClient("http://127.0.0.1:9", "key") as client:
            assert client.name == "images"

    asyncio.run(remote())


def test_one_function_for_a_library_and_a_client(library: Library) -> None:
    def nearest(images: SearchableImages, file: str) -> str:
        return images.search(file, k=1)[0].path

    assert nearest(library, library.search(picture(1))[0].path)
    with Client("http://127.0.0.1:9", "key") as client:
        both: list[SearchableImages] = [library, client]
        assert len(both) == 2
