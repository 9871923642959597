"""A language model searches, looks and adds over MCP, by the package's own client."""

import base64
import json
import sys
import uuid
from importlib.util import find_spec
from io import BytesIO

import pytest
from PIL import Image

import imgsearch
from imgsearch.errors import ConfigError
from imgsearch.integrations.mcp import build
from tests.conftest import ENVIRONMENT
from tests.pictures import write

if find_spec("mcp") is None:
    pytest.skip("needs the extra mcp", allow_module_level=True)
anyio = pytest.importorskip("anyio")


@pytest.fixture
def library(tmp_path):
    write(tmp_path / "fotos/katzen", 2)
    write(tmp_path / "fotos/hunde", 2, start=2)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="lite") as opened:
        opened.add(tmp_path / "fotos")
        yield opened


def call(server, *calls):
    """Return the results of tool calls: (is an error, the contents)."""
    from mcp import Client

    async def run():
        async with Client(server) as client:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return [(bool(result.is_error), result) for result in anyio.run(run)]


def hits(result):
    return result.structured_content["result"]


def test_model_searches_and_looks(library):
    server = build(library)
    (failed, result), (_, few) = call(
        server,
        ("search", {"query": "a cat", "k": 4}),
        ("search", {"query": "a cat", "where": "label = hunde"}),
    )
    assert not failed
    assert {hit["label"] for hit in hits(result)} == {"katzen", "hunde"}
    assert {hit["label"] for hit in hits(few)} == {"hunde"}
    first = hits(result)[0]
    (_, picture), (_, like) = call(
        server,
        ("look", {"id": first["id"], "edge": 64}),
        ("search", {"like": first["id"], "k": 2}),
    )
    (content,) = picture.content
    assert content.mime_type == "image/jpeg"
    image = Image.open(BytesIO(base64.b64decode(content.data)))
    assert (image.format, max(image.size)) == ("JPEG", 64)
    assert len(hits(like)) == 2
    assert first["id"] not in {hit["id"] for hit in hits(like)}


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("search", {}, "give either query"),
        ("search", {"query": "a cat", "like": "x"}, "give either query"),
        ("search", {"query": "a cat", "k": 51}, "k must be 1 to 50"),
        ("search", {"query": "a cat", "where": "label ="}, "a value is expected"),
        ("search", {"like": "x"}, "has the id 'x'"),
        ("look", {"id": "/etc/passwd"}, "has the id '/etc/passwd'"),
        ("look", {"id": "x", "edge": 100_000}, "edge must be one of 64, 128"),
    ],
)
def test_errors_are_texts_for_the_model(library, tool, arguments, message):
    ((failed, result),) = call(build(library), (tool, arguments))
    assert failed
    assert message in result.content[0].text


def test_model_adds_from_the_given_folders_only(library, tmp_path):
    from mcp import Client

    async def tools(server):
        async with Client(server) as client:
            return sorted(tool.name for tool in (await client.list_tools()).tools)

    assert anyio.run(tools, build(library)) == ["look", "search"]
    folder = tmp_path / "neu"
    write(folder, 1, start=7)
    (secret,) = write(tmp_path / "geheim", 1, start=9)
    (folder / "link").symlink_to(tmp_path / "geheim")
    server = build(library, folders=[folder])
    assert anyio.run(tools, server) == ["add", "look", "search"]
    ((failed, result),) = call(server, ("add", {"paths": [str(folder)]}))
    assert (failed, result.structured_content["added"]) == (False, 1)
    for path in (str(secret), f"{folder}/../geheim", f"{folder}/link", "weg.png", "a\0b", ""):
        ((failed, result),) = call(server, ("add", {"paths": [path]}))
        assert failed, path
        assert "is not in the 1 folder that this server adds from" in result.content[0].text
    assert library.count() == 5


def test_links_and_lists_do_not_reach_outside_the_folders(library, tmp_path):
    folder = tmp_path / "neu"
    inside, linked = write(folder, 2, start=7)
    (secret, listed) = write(tmp_path / "geheim", 2, start=9)
    linked.unlink()
    linked.symlink_to(secret)
    rows = ("path", inside.name, str(listed), "../geheim/x.png", "/etc/passwd")
    (folder / "liste.csv").write_text("\n".join(rows), encoding="utf-8")
    server = build(library, folders=[folder])
    for path, added, failed in ((folder, 1, 1), (folder / "liste.csv", 0, 3)):
        ((refused, result),) = call(server, ("add", {"paths": [str(path)]}))
        answer = result.structured_content
        assert (refused, answer["added"], answer["failed"]) == (False, added, failed)
        assert all("is not in the 1 folder" in reason for reason in answer["failures"])
    assert library.count() == 5


def test_missing_folders_are_rejected(library, tmp_path):
    (file,) = write(tmp_path / "f", 1)
    with pytest.raises(ConfigError, match="no such folder"):
        build(library, folders=[tmp_path / "weg"])
    with pytest.raises(ConfigError, match="is not a folder"):
        build(library, folders=[file])


@pytest.mark.process
def test_command_serves_over_standard_input_and_output(tmp_path):
    from mcp import StdioServerParameters

    write(tmp_path / "fotos", 2)
    url = str(tmp_path / "photos.db")
    with imgsearch.open(url, model="lite") as library:
        library.add(tmp_path / "fotos")
    words = ["-m", "imgsearch", "mcp", "--db", url]
    server = StdioServerParameters(command=sys.executable, args=words, env=dict(ENVIRONMENT))
    ((failed, result),) = call(server, ("search", {"query": "a cat"}))
    assert not failed
    assert len(hits(result)) == 2
    assert json.dumps(hits(result)).count(str(tmp_path)) == 2
