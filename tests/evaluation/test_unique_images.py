"""The first of equal images counts, and a bounded number of contradicting labels is noted."""

from imgsearch.datasets.dataset import Item
from imgsearch.evaluation.unique_images import UniqueImages


def test_first_item_counts_and_further_contradictions_are_counted(tmp_path):
    items = [(f"id{n}", Item(tmp_path / "cat" / f"{n}.png", "cat")) for n in range(6)]
    contents = UniqueImages(tmp_path, items)
    assert not any(
        contents.add(id_, Item(tmp_path / "ü" / item.path.name, "ü")) for id_, item in items
    )
    assert not contents.add("id0", Item(tmp_path / "cat" / "copy.png", "cat"))
    assert contents.labels() == {f"id{n}": frozenset({"cat"}) for n in range(6)}
    notes = list(contents.notes())
    assert len(notes) == 6
    assert notes[0] == (
        "ü/0.png is 'ü', but the same image cat/0.png is 'cat', which comes first and counts."
    )
    assert notes[-1] == "1 more image has another label than an equal one."
