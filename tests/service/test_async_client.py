"""The client for asyncio: the calls of a client, awaited."""

import asyncio

import pytest

from imgsearch import AsyncClient, Client
from imgsearch.errors import ConfigError, ImageNotFound
from tests.pictures import picture, write


@pytest.fixture
def photos(tmp_path):
    write(tmp_path / "Fotos/Käse", 2)
    write(tmp_path / "Fotos/猫", 2, start=2)
    return tmp_path / "Fotos"


def test_client_is_awaited(service, empty, photos):
    async def use():
        key = service.secrets["admin"]
        async with AsyncClient(service.url, key, collection=empty) as client:
            assert not await client.exists()
            assert (await client.add(photos)).added == 4
            assert await client.count() == 4
            hits, cats = await asyncio.gather(
                client.search(picture(1), k=1), client.search(picture(1), where="label = 猫")
            )
            assert hits[0].score == pytest.approx(1, abs=1e-3)
            assert [hit.label for hit in cats] == ["猫"] * 2
            assert (await client.get(hits[0].id)).label == "Käse"
            assert [len(hits) for hits in await client.search_many(["a dog"] * 2, k=3)] == [3, 3]
            assert len([image async for image in client]) == 4
            labels = [image.label async for image in client.records("label = Käse")]
            assert labels == ["Käse"] * 2
            assert await client.remove(hits[0].id) == 1
            with pytest.raises(ImageNotFound):
                await client.get(hits[0].id)
            jobs = [job async for job in client.jobs()]  # other tests share the service
            assert [job for job in jobs if job.collection == empty] == []
            await client.aclose()

    asyncio.run(use())


def test_every_call_of_the_client_is_awaited():
    own = {"images", "job", "close"}  # `records` has all images; a job has its own methods
    names = {name for name in dir(Client) if not name.startswith(("_", "a"))} - own
    names |= {"add", "add_folder", "add_urls"}
    assert names <= set(dir(AsyncClient))


def test_invalid_url_is_refused_at_once():
    with pytest.raises(ConfigError):
        AsyncClient("ftp://nowhere")
