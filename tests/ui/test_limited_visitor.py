"""A visitor whose key is limited to a collection sees and changes nothing of another."""

import asyncio
from types import SimpleNamespace

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from imgsearch.archive import CollectionOptions, Incoming, Jobs, opened
from imgsearch.archive.access import Keys
from tests.pictures import write
from tests.service.running import event_loop, jpeg

# Gradio takes 3 s to import, and leaves an event loop's sockets open when its queue is built
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SECRET = "geheim"  # noqa: S105 - in each name, label and field of the other collection


def request(key, query=""):
    """Return a request with a key in the sign-in cookie."""
    headers = [(b"host", b"h"), (b"cookie", f"imgsearch_key={key}".encode())]
    return Request(
        {
            "type": "http", "method": "GET", "scheme": "http", "path": "/", "headers": headers,
            "query_string": query.encode(), "server": ("h", 80),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return the page of an archive with two collections, and the requests of two visitors."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install '.[ui]'")
    from imgsearch.ui.page import Page

    folder = tmp_path_factory.mktemp("größe")
    write(folder / "fotos" / SECRET, 2)
    creation = CollectionOptions("lite")
    with (
        opened(
            folder / "d", db="memory://visitor", roots=[folder / "fotos"], creation=creation
        ) as archive,
        event_loop(),
    ):
        archive.add([Incoming("m.jpg", data=jpeg(1), id="m")], collection="mine")
        fields = {SECRET: SECRET}
        foreign = Incoming(f"{SECRET}.jpg", data=jpeg(2), id="f", label=SECRET, fields=fields)
        archive.add([foreign], collection="of_others")
        keys = Keys(archive.catalog)
        secret = keys.create("k", ["admin"], collections=["mine", "new"])[1]
        jobs = Jobs(archive)
        page = Page(archive, jobs, collection="images", can_write=True, check=keys.check)
        whole = keys.create("alle", ["admin"])[1]
        yield SimpleNamespace(
            page=page, archive=archive, secret=secret, limited=request(secret),
            whole=request(whole), keys=keys, folder=folder / "fotos",
        )  # fmt: skip
        jobs.close()


def values(tab, **changes):
    """Return the values of a tab's fields, with changes by the name of the field."""
    given = {component: getattr(component, "value", None) for component in tab.fields}
    return given | {getattr(tab, name): value for name, value in changes.items()}


def test_header_offers_own_collections_alone(world):
    for chosen in ("images", "of_others", "", None, ["of_others"], "new\0"):
        update, facts, *_ = world.page._header(chosen, world.limited)
        assert (update["value"], update["choices"]) == ("mine", ["mine", "new"])
        assert "<dd>1</dd>" in facts
    update, *_, into, _ = world.page._choose("of_others", world.limited)
    assert (update["value"], into) == ("mine", "mine")
    update, *_ = world.page._header("images", world.whole)
    assert update["choices"] == ["images", "mine", "of_others"]
    address = request(world.secret, "collection=of_others&q=x")
    assert world.page._from_address("images", address)[0] == "images"


def test_search_of_another_collection_is_refused(world):
    from imgsearch.ui.query import SearchRequest
    from imgsearch.ui.search_bar import BarContent

    tab = world.page.search_tab

    def search(**changes):
        form = {
            "collection": "mine", "picture": None, "words": "a dog", "picture_weight": 1,
            "words_weight": 1, "like": None, "k": 5, "min_score": None, "label": None, "name": "",
            "where": "", "mode": "vector", "hide_duplicates": False,
        }  # fmt: skip
        outcome, _, tiles, *_ = tab._answer(SearchRequest(**form | changes), world.limited)
        return outcome, tiles

    assert "m.jpg" in search()[1]
    assert "limited to the collections mine, new" in search(collection="of_others")[0]
    assert "does not exist any more" in search(like="f")[0]
    assert "m.jpg" in search(words="")[1]  # the newest
    for outcome, tiles in (
        search(collection="of_others"), search(like="f"), search(name=SECRET),
        search(collection="of_others", words=""),
    ):  # fmt: skip
        assert SECRET not in tiles
        assert SECRET not in outcome
    event = SimpleNamespace(_data={"id": "f", "edges": [0, 0, 1, 1]})
    assert "does not exist any more" in tab._select({}, event, world.limited)[2]
    assert "does not exist any more" in tab._cut_hit("f", world.limited)[1]
    with pytest.raises(Exception, match="does not exist any more"):
        tab._cropped("f", BarContent(), event, world.limited)
    assert "m.jpg" in tab._select({}, SimpleNamespace(_data={"id": "m"}), world.limited)[2]


def test_browsing_and_deleting_another_collection_is_refused(world):
    tab = world.page.browse_tab
    fields = {world.page.collection: "of_others"}
    outcome, tiles, *_ = tab.first(values(tab) | fields, world.limited)
    assert "limited to the collections mine, new" in outcome
    assert tiles == ""
    event = SimpleNamespace(_data={"id": "f"})
    assert "does not exist any more" in tab._select(event, world.limited)[2]
    assert "does not exist any more" in tab._ask("f", world.limited)[0]
    assert "does not exist any more" in tab.detail._full_size("f", world.limited)
    tab._delete(values(tab) | fields | {tab.detail.current: "f"}, world.limited)
    assert world.archive.entry("f").state == "ready"
    outcome, tiles, *_ = tab.first(values(tab) | {world.page.collection: "mine"}, world.limited)
    assert "1 to 1 of 1 image" in outcome
    assert "m.jpg" in tiles


def test_fields_and_values_of_another_collection_are_not_offered(world):
    facets = world.page.search_tab.rail.facets
    event = SimpleNamespace(_data={"field": "label", "value": SECRET})
    assert facets.closed("of_others", world.limited) == ""
    assert facets._open("of_others", "", event, world.limited) == ""
    assert facets._choose("of_others", "", event, world.limited) == ("", "")
    assert SECRET in facets._open("of_others", "", event, world.whole)


def test_images_and_folders_are_not_added_to_another_collection(world):
    import gradio as gr

    from imgsearch.ui.add_tab import Upload
    from imgsearch.ui.folder_form import FolderForm

    folder = str(world.folder)
    with gr.Blocks():
        form = FolderForm(world.page._require, world.page.add_tab.form)
    upload = [Upload(world.folder / "x.jpg", "x.jpg")]
    for into in ("of_others", "images", ""):
        (state,) = world.page.add_tab._add(upload, into, "", "{}", False, "", 1, world.limited)
        assert "limited to the collections" in state[0]
        for in_step in (False, True):
            (state,) = form._start(folder, into, "", in_step, False, "", 1, world.limited)
            assert "limited to the collections" in state[0]
    *_, state = form._start(folder, "new", "", True, False, "", 1, world.limited)
    assert "2 added" in state[0]
    *_, state = form._start(folder, "new", "", False, False, "", 1, world.limited)
    assert "2 added" in state[0]
    assert world.archive.entries("of_others").total == 1
    assert world.archive.entries("new").total == 2


def test_log_needs_a_key_of_all_collections(world):
    tab = world.page.log_tab
    assert "this needs all collections" in tab._read("info", world.limited)
    assert "this needs" not in tab._read("info", world.whole)


def test_originals_of_another_collection_are_not_sent(world):
    from imgsearch.ui.guard import Guard

    app = Guard(PlainTextResponse("behind"), check=world.keys.check, archive=world.archive)

    async def status(id_):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            cookie = {"Cookie": f"imgsearch_key={world.secret}"}
            return (await client.get(f"/original/{id_}", headers=cookie)).status_code

    assert [asyncio.run(status(id_)) for id_ in ("m", "f", "unknown")] == [200, 404, 404]
