"""Workflow diagrams."""

import re
from xml.etree import ElementTree as ET

import pytest

from imgsearch.errors import ConfigError
from imgsearch.report.diagram import workflow

SVG = "{http://www.w3.org/2000/svg}"


def boxes(diagram):
    """Return the middle of each box, by its text."""
    group = ET.fromstring(diagram.svg).find(f"{SVG}g")  # noqa: S314 - our own SVG
    names = [text.text for text in group.findall(f"{SVG}text")]
    sizes = [
        [float(box.get(name)) for name in ("x", "y", "width", "height")]
        for box in group.findall(f"{SVG}rect")
    ]
    return {
        name: (round(x + w / 2, 1), y + h / 2)
        for name, (x, y, w, h) in zip(names, sizes, strict=True)
    }


def test_ways_meet_at_a_step_of_the_same_name():
    diagram = workflow(["image", "vector", "hits"], ["texte & é", "vector", "hits"])
    middles = boxes(diagram)
    # rows are 78 pixels high: their middles are at 39 and 117, and the middle of both is at 78
    assert {name: y for name, (_, y) in middles.items()} == {
        "image": 39,
        "texte & é": 117,
        "vector": 78,
        "hits": 78,
    }
    assert middles["image"][0] == middles["texte & é"][0] < middles["vector"][0]
    assert diagram.svg.count('class="arrow"') == 3  # vector → hits is drawn once


def test_arrow_goes_from_edge_to_edge():
    diagram = workflow(["a", "b"])
    # A box of one letter is 7.5 + 20 = 27.5 wide. The first begins at 1; 56 are between the boxes.
    assert re.search(r' d="(\S+ \S+ ?\S*)"', diagram.svg.split("arrow")[1])[1] == (
        "M28.5 39.0L84.5 39.0"
    )


def test_labels_and_more_arrows():
    diagram = workflow(
        ["query", "hits"],
        ["folder", "a\ncollection"],
        labels={("folder", "a\ncollection"): "insert <all>"},
        arrows=[("a\ncollection", "hits")],
    )
    assert "insert &lt;all&gt;</text>" in diagram.svg
    assert diagram.svg.count('class="arrow"') == 3
    assert diagram._repr_svg_() == diagram.svg


def test_unknown_steps_are_rejected():
    with pytest.raises(ConfigError, match="without a step"):
        workflow()
    with pytest.raises(ConfigError, match="no step is called 'c'. The steps are: a, b"):
        workflow(["a", "b"], arrows=[("a", "c")])
