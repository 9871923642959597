"""Regions over HTTP: hits have the box of the nearest object."""

import io

import numpy as np
from PIL import Image

import imgsearch
from imgsearch.images.regions import crop
from tests.archive.test_regions import detection, photo
from tests.service.running import running
from tests.service.topologies import plain

__all__ = ["detection"]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return file.getvalue()


def test_hit_has_the_box_of_its_region(detection, tmp_path):
    with running(plain(tmp_path / "places"), tmp_path / "data", regions=detection) as service:
        key = service.secrets["write"]
        with imgsearch.Client(service.url, key) as client:
            report = client.add([(f"{n}.png", png(photo(n))) for n in range(3)])
            assert report.added == 3
            region = detection(photo(1))[0]
            query = png(crop(photo(1), region.box))
            (first, *_others) = client.search(query)
            assert (first["path"], first["object"]) == ("1.png", region.label)
            assert first["box"] == ",".join(map(str, region.box))
            assert "box" not in client.search(png(photo(1)))[0].fields
        answer = service.http.post("/v1/search", files={"file": ("q.png", query)}).json()
        assert answer["hits"][0]["box"] == list(region.box)
        assert client.name == "images"
