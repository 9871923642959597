"""An evaluation as an HTML page, as Markdown and as plain values."""

import json
import re
from html.parser import HTMLParser

import pytest

from imgsearch.datasets.dataset import load as load_dataset
from imgsearch.evaluation.evaluator import evaluate
from imgsearch.evaluation.options import EvaluationOptions
from imgsearch.report import evaluation, svg
from tests.pictures import write


@pytest.fixture(scope="module")
def runs(tmp_path_factory, map_by_pca):
    root = tmp_path_factory.mktemp("report") / "bilder"
    write(root / "katze", 5)
    write(root / "<b>hund", 5, start=5)
    dataset = load_dataset(root)
    options = EvaluationOptions(timed=True, mapped=True)
    return {model: evaluate(dataset, model=model, options=options) for model in ("lite", "classic")}


class Elements(HTMLParser):
    """Counts elements, and keeps their attributes."""

    def __init__(self, page):
        super().__init__()
        self.all = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.all.append((tag, dict(attrs)))

    def of(self, tag):
        return [attributes for name, attributes in self.all if name == tag]


@pytest.mark.long
def test_page_of_one_run_has_every_part(runs):
    page = evaluation.page({"lite": runs["lite"]})
    for title in (
        "Measures of lite",
        "Worst classes",
        "Confused",
        "Map of the",
        "Speed",
        "Notes on",
    ):
        assert re.search(rf"<h2>[^\n]*{title}", page), title
    elements = Elements(page)
    assert len(elements.of("svg")) == 3
    assert len([element for element in elements.of("g") if element.get("class") == "place"]) == 10
    assert (
        len([element for element in elements.of("figure") if element.get("class") == "query"]) == 10
    )


def test_page_of_two_runs_compares_them(runs):
    page = evaluation.page(runs)
    assert "Against lite" in page
    assert "Quality against speed" in page
    for model in ("lite", "classic"):
        for title in (
            "Measures of",
            "Worst classes of",
            "Confused classes of",
            "Map of the embeddings of",
        ):
            assert re.search(rf"<h2>[^\n]*{title} {model}", page), (title, model)
        assert page.count(f"hits of {model}, 4 relevant in the gallery") == 10
    elements = Elements(page)
    assert len(elements.of("svg")) == 7
    assert (
        len([element for element in elements.of("figure") if element.get("class") == "query"]) == 20
    )


def test_page_loads_no_resource_and_runs_no_script(runs):
    page = evaluation.page(runs)
    assert "<script" not in page
    assert "<b>hund" not in page
    elements = Elements(page)
    sources = [element["src"] for element in elements.of("img") if "src" in element]
    assert sources
    assert all(source.startswith("data:") for source in sources)
    pictures = [element["href"] for element in elements.of("image")]
    assert pictures
    assert all(picture.startswith("data:image/jpeg") for picture in pictures)
    assert "&lt;b&gt;hund" in page


def test_same_run_gives_the_same_page_except_timings(runs):
    one = {"lite": runs["lite"]}
    assert evaluation.page(one) == evaluation.page(one)
    assert evaluation.markdown(one) == evaluation.markdown(one)


def test_markdown_has_a_row_for_each_measure_and_class(runs):
    text = evaluation.markdown(runs)
    for name in runs["lite"].measures.metrics:
        assert f"| {name} | " in text
    assert "| katze | 5 | " in text
    assert "## Against lite" in text
    assert re.findall(r"## Classes by (.*)", text) == ["lite", "classic"]
    widths = [line.count("|") for line in text.splitlines() if line.startswith("| measure | of")]
    assert widths == [9]


def test_pipe_in_a_label_does_not_break_the_markdown(runs):
    assert evaluation._grid(["a", "b"], [["x|y", "z"]])[2] == "| x&#124;y | z |"


def test_plain_values_are_json(runs):
    one = json.loads(json.dumps(evaluation.plain({"lite": runs["lite"]})))
    assert one["metrics"] == runs["lite"].measures.metrics
    two = json.loads(json.dumps(evaluation.plain(runs)))
    assert two["runs"].keys() == {"lite", "classic"}
    assert {row["second"] for row in two["differences"]} == {"classic"}


def test_missing_file_is_omitted_from_the_page(tmp_path, map_by_pca):
    write(tmp_path / "bilder/katze", 3)
    write(tmp_path / "bilder/ñandú", 3, start=5)
    options = EvaluationOptions(mapped=True)
    run = evaluate(load_dataset(tmp_path / "bilder"), model="classic", options=options)
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    page = evaluation.page({"classic": run})
    assert "data:image" not in page
    assert "ñandú" in page


def test_bars_are_as_long_as_their_values():
    drawn = svg.bars([svg.Bar("map@10", 0.5, 0.25, 0.75)], label="x")
    (bar,) = [element for element in Elements(drawn).of("rect") if element["class"] == "bar"]
    (line,) = [element for element in Elements(drawn).of("line") if element["class"] == "range"]
    start, width = float(bar["x"]), float(bar["width"])
    assert float(line["x1"]) == pytest.approx(start + width / 2, abs=0.1)
    assert float(line["x2"]) == pytest.approx(start + width * 1.5, abs=0.1)


def test_line_joins_the_pareto_optimal_points():
    rows = [
        svg.Point("slow and good", 10, 0.9),
        svg.Point("fast and bad", 1000, 0.2),
        svg.Point("beaten", 9, 0.8),
        svg.Point("between", 100, 0.5),
    ]
    drawn = svg.points(rows, x="images/s", y="precision@10", label="x")
    (line,) = Elements(drawn).of("polyline")
    assert len(line["points"].split()) == 3
    assert len(Elements(drawn).of("circle")) == 4


def test_texts_in_drawings_are_escaped():
    for drawn in (
        svg.bars([svg.Bar("<x>&", 0.1, 0.1, 0.1)], label='"<x>'),
        svg.points([svg.Point("<x>&", 1, 1)], x="<x>", y="<x>", label="<x>"),
        svg.matrix(["<x>", "y"], [[1, 0], [0, 1]], label="<x>"),
        svg.embedding_map([svg.Place(0, 0, 1, "<x>", "<x>")], label="<x>"),
    ):
        assert "<x" not in drawn
        assert "&lt;x" in drawn
