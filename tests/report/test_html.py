"""The page of results, parsed and checked for forbidden content."""

import base64
import io
from html.parser import HTMLParser

import pytest
from PIL import Image

from imgsearch.report.html import Result, Thumb, results_page

VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Collects elements with attributes and text, and checks that every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self) -> str:
        return " ".join(text for tag, text in self.texts if tag != "style")


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    held = io.BytesIO()
    Image.linear_gradient("L").resize((32, 24)).save(held, "JPEG")
    return held.getvalue()


def test_row_has_the_query_and_its_hits_in_order(jpeg: bytes):
    hits = [
        Thumb(jpeg, "猫", score=0.91, relevant=True, title="fotos/猫.jpg"),
        Thumb(jpeg, "perro", score=-0.0567, relevant=False),
        Thumb(jpeg, "zorro", relevant=None),
    ]
    page = Reader(results_page("Búsqueda", [Result(Thumb(jpeg, "gato"), hits, note="AP 0.5")]))
    assert [image["alt"] for image in page.all("img")] == [
        "Query: gato",
        "Hit 1: 猫",
        "Hit 2: perro",
        "Hit 3: zorro",
    ]
    words = page.words()
    assert "1 of 2 relevant" in words
    assert "AP 0.5" in words
    assert words.index("0.910") < words.index("-0.057")
    assert page.all("html") == [{"lang": "en"}]
    assert page.all("img")[1]["title"] == "fotos/猫.jpg"


def test_relevance_is_shown_by_text_and_color(jpeg: bytes):
    hits = [Thumb(jpeg, "a", relevant=True), Thumb(jpeg, "b", relevant=False), Thumb(jpeg, "c")]
    page = Reader(results_page("t", [Result(Thumb(jpeg, "q"), hits)]))
    marks = [text for tag, text in page.texts if tag == "span" and "relevant" in text]
    assert marks == ["1 of 2 relevant", "relevant", "not relevant"]
    assert [f["class"] for f in page.all("figure")] == ["query", "right", "wrong", "open"]


def test_pictures_are_embedded_byte_for_byte(jpeg: bytes):
    page = Reader(results_page("t", [Result(Thumb(jpeg, "q"), [])]))
    head, _, data = str(page.all("img")[0]["src"]).partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(data) == jpeg


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></bdi></figure><h1>",
    "{title} {0} {{ %s $title &lt; &amp;",
    "javascript:alert(1)",
    "\u202egpj.exe",
    "tab\tnul\x00bell\x07",
    "\udcff not UTF-8",
    "--><!-- ]]>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_escaped_everywhere(jpeg: bytes, text: str):
    def build(words: str) -> str:
        thumb = Thumb(jpeg, words, score=0.5, relevant=False, title=words)
        bare = Thumb(b"", words, title=words)
        return results_page(words, [Result(thumb, [thumb, bare], note=words)], facts={words: words})

    page, plain = Reader(build(text)), Reader(build("harmless"))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert [set(a) for _, a in page.elements] == [set(a) for _, a in plain.elements]
    build(text).encode("utf-8")
    visible = text.translate(dict.fromkeys([0, 7, 9, 0x202E], " ")).replace("\udcff", "?").strip()
    # title, heading, fact's name and value, query's caption, title and note, hits' captions and
    # the text replacing a picture
    assert [
        content for tag, content in page.texts if content == visible and tag in {"bdi", "title"}
    ] == [visible] * 10


def test_nothing_is_fetched_linked_or_run(jpeg: bytes):
    html = results_page(
        "file:///etc/passwd",
        [Result(Thumb(jpeg, "https://example.org/a.jpg"), [Thumb(jpeg, "b", title="/home/b.jpg")])],
        facts={"store": "milvus://host:19530"},
    )
    page = Reader(html)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "a", "iframe", "object", "embed", "form", "base", "svg"}
    for _, attributes in page.elements:
        assert not set(attributes) & {"href", "srcset", "action", "style", "background"}
        assert not any(name.startswith("on") for name in attributes)
        assert str(attributes.get("src", "data:image/jpeg;")).startswith("data:image/jpeg;")
    style = next(text for tag, text in page.texts if tag == "style")
    assert "url(" not in style
    assert "@import" not in style
    policy = next(m for m in page.all("meta") if m.get("http-equiv"))["content"]
    assert str(policy).startswith("default-src 'none'; img-src data:")


def test_every_picture_has_an_alternative_text_also_without_a_caption(jpeg: bytes):
    thumbs = [Thumb(jpeg, ""), Thumb(jpeg, "", title="a.jpg"), Thumb(b"", "")]
    page = Reader(results_page("t", [Result(Thumb(jpeg, "q"), thumbs)]))
    assert [image["alt"] for image in page.all("img")] == [
        "Query: q",
        "Hit 1: no caption",
        "Hit 2: a.jpg",
    ]
    assert "no picture" in page.words()


def test_text_query_needs_no_picture():
    page = Reader(results_page("t", [Result(Thumb(b"", "ein weißer Hund"), [])]))
    assert page.all("img") == []
    assert page.words().count("ein weißer Hund") == 2
    assert "No hits." in page.words()


def test_page_without_results_has_a_message():
    page = Reader(results_page("leer", []))
    assert "No results." in page.words()
    assert page.all("dl") == []


def test_facts_are_listed_first_in_order():
    page = Reader(results_page("t", [], facts={"Encoder": "vit", "Store": "photos.db"}))
    words = page.words()
    assert words.index("Encoder") < words.index("vit") < words.index("Store")
    assert words.index("photos.db") < words.index("No results.")


def test_page_is_little_larger_than_its_pictures(jpeg: bytes):
    hits = [Thumb(jpeg, f"Bild {n}", score=0.5, relevant=True, title="x") for n in range(10)]
    page = results_page("t", [Result(Thumb(jpeg, "q"), hits) for _ in range(20)])
    pictures = 220 * len(base64.b64encode(jpeg))
    # a picture's markup is below 450 bytes, the page with its style below 6,000
    assert len(page.encode()) < pictures + 220 * 450 + 6_000


def test_page_adapts_to_phones_dark_schemes_and_the_keyboard(jpeg: bytes):
    html = results_page("t", [Result(Thumb(jpeg, "q"), [])])
    page = Reader(html)
    named = {meta.get("name"): meta.get("content") for meta in page.all("meta")}
    assert named["viewport"] == "width=device-width, initial-scale=1"
    assert named["color-scheme"] == "light dark"
    assert "prefers-color-scheme: dark" in html
    assert "max-width: 44rem" in html
    # a summary gets the keyboard focus without a script, and shows it
    assert len(page.all("summary")) == 1
    assert "summary:focus-visible" in html


def channel(part: int) -> float:
    """Source: WCAG 2.2, relative luminance."""
    return part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4


def luminance(color: str) -> float:
    if len(color) == 3:
        color = "".join(2 * digit for digit in color)
    red, green, blue = (channel(part) for part in bytes.fromhex(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_marks_have_enough_contrast(scheme: int):
    style = results_page("t", []).partition("<style>")[2].partition("</style>")[0]
    block = style.split(":root {")[scheme + 1].partition("}")[0]
    colors = dict(pair.split(": #") for pair in block.replace("--", "").split(";") if ": #" in pair)
    colors = {name.strip(): luminance(value) for name, value in colors.items()}
    for ground in ("ground", "raised", "well"):
        for text in ("ink", "soft", "right", "wrong"):
            low, high = sorted([colors[ground], colors[text]])
            assert (high + 0.05) / (low + 0.05) >= 4.5, f"{text} on {ground}"
