"""Thresholds from labelled images: pools by hand, images and texts apart, honest halves."""

import uuid

import numpy as np
import pytest

import imgsearch
from imgsearch.datasets import dataset
from imgsearch.encoders import load
from imgsearch.errors import DatasetError, PrecisionUnreached
from imgsearch.evaluation.candidate_pool import Pool
from imgsearch.evaluation.label_thresholds import (
    LabeledQuery,
    _random_key,
    choose_threshold,
    pools,
    thresholds,
)
from tests.pictures import write, write_shade


def test_no_pair_chooses_and_tells():
    asked = [
        LabeledQuery(
            f"n{place}", [(f"n{other}", 0.5, True) for other in range(20) if other != place]
        )
        for place in range(20)
    ]
    choosing, checking = pools(asked)
    assert choosing.judge(0).pairs == 10 * 9  # each of ten, with the other nine that choose
    assert checking.judge(0).pairs == 10 * 19


def test_figures_of_the_pairs_that_chose_would_be_too_good():
    """Scores that say nothing, half of all pairs right: where it was chosen a threshold seems to
    know better, and where it was not, it does not."""
    seeming, true = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        asked = [
            LabeledQuery(
                f"q{place}", [(f"é{place}{at}", rng.random(), rng.random() < 0.5) for at in "abc"]
            )
            for place in range(40)
        ]
        with pytest.raises(PrecisionUnreached) as best:
            pools(asked)[0].lowest(1.0)
        choosing, checking = pools(asked)
        lowest = choosing.lowest(best.value.best)
        seeming.append(choosing.judge(lowest).precision)
        true.append(checking.judge(lowest).precision)
    assert np.mean(seeming) > 0.57
    assert np.mean(true) == pytest.approx(0.5, abs=0.04)


def test_a_threshold_denied_by_the_other_half_is_refused():
    """All hits of the choosing half are right, all hits of the other half wrong."""
    asked = [LabeledQuery(f"q{place}", [(f"é{place}", 0.9, True)]) for place in range(40)]
    ordered = sorted(asked, key=lambda each: _random_key(each.id))
    wrong = [LabeledQuery(each.id, [(f"é{each.id}", 0.9, False)]) for each in ordered[20:]]
    with pytest.raises(PrecisionUnreached, match="failed its check") as refused:
        choose_threshold("image", [*ordered[:20], *wrong], precision=0.9)
    assert (refused.value.wanted, refused.value.checked) == (0.9, 0.0)
    assert refused.value.interval == (0.0, 0.0)


def test_the_threshold_is_that_of_the_half_that_chooses():
    asked = [LabeledQuery(f"q{place}", [(f"x{place}", 0.9, True), (f"y{place}", 0.2, False)])
             for place in range(40)]  # fmt: skip
    told = choose_threshold("text", asked, precision=0.9)
    assert told.threshold == 0.9
    assert (told.checked.precision, told.checked.recall, told.checked.queries) == (1, 1, 20)
    assert (told.no_match.answered, told.no_match.rejected, told.no_match.queries) == (1, 1, 20)


def test_the_threshold_rejects_queries_whose_label_is_not_in_the_library():
    """By pairs alone 0.5 would do: of 10 right hits and a wrong one, 10 of 11 are right. But each
    query without its label's images would have that wrong one."""
    asked = [
        LabeledQuery(f"q{place}", [
            ("é", 0.9, True),
            *((f"x{place}{at}", 0.7, True) for at in range(9)),
            (f"y{place}", 0.5, False),
        ])
        for place in range(40)
    ]  # fmt: skip
    assert pools(asked)[0].lowest(0.9) == 0.5
    found = choose_threshold("image", asked, precision=0.9)
    assert found.threshold == 0.9  # the nearest right hits decide, as one is an answer
    assert found.no_match.rejected == 1.0
    assert found.to_dict()["no_match"]["answered"] == 1.0
    assert isinstance(pools(asked)[0], Pool)


@pytest.fixture
def labelled(tmp_path):
    """Return a folder of two classes whose names are words that the default encoder knows."""
    write_shade(tmp_path / "fötos/dog", 12, bright=False)
    write_shade(tmp_path / "fötos/snow", 12, start=12, bright=True)
    return tmp_path / "fötos"


@pytest.fixture
def library(labelled):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as opened:
        opened.add(labelled)
        yield opened


def test_the_library_s_own_labels_and_a_dataset_s_say_the_same(library, labelled):
    encoder = load()
    found, missing = thresholds(library.collection, encoder, precision=0.2)
    assert set(found) == {"image"}
    assert missing == {"text": "2 text queries are too few"}
    own = found["image"]
    assert own.chosen.queries + own.checked.queries == 24
    asked = []
    theirs, _ = thresholds(
        library.collection,
        encoder,
        dataset.load(labelled),
        precision=0.2,
        on_progress=lambda *now: asked.append(now),
    )
    assert ("images", 24, 24) in asked
    assert theirs["image"].checked.queries == 12
    # of each of 24 images the other 23 are hits; 11 of them are of its class
    assert theirs["image"].checked.pairs <= 12 * 23


def test_progress_counts_broken_images_and_unknown_names(library, labelled):
    (labelled / next(labelled.iterdir()).name / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    seen = []
    thresholds(
        library.collection,
        load(),
        dataset.load(labelled),
        precision=0.2,
        on_progress=lambda *now: seen.append(now),
    )
    last = {stage: (done, total) for stage, done, total in seen}
    assert last["images"] == (25, 25)
    assert last["texts"] == (2, 2)


def test_an_unreached_precision_reports_the_best():
    found = [LabeledQuery(f"q{place}", [("é", 0.9, place % 2 == 0)] * 3) for place in range(40)]
    with pytest.raises(PrecisionUnreached, match="the best is 0") as told:
        choose_threshold("image", found, precision=1.0)
    assert 0.3 < told.value.best < 1


def test_a_library_without_labels_is_told_to_name_a_dataset(tmp_path):
    write(tmp_path, 6)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as opened:
        opened.add(tmp_path)
        with pytest.raises(DatasetError, match="Name a labeled dataset"):
            thresholds(opened.collection, load())


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["2023-01"], "all 6 labeled images have the same label"),
        (
            [f"2023-0{place}" for place in range(1, 7)],
            "none of 6 labeled images finds another one of its label",
        ),
    ],
)
def test_folders_that_do_not_label_images_are_refused(tmp_path, folders, message):
    for place, folder in enumerate(folders * (6 // len(folders))):
        write(tmp_path / folder, 1, start=place)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        opened.add(tmp_path)
        with pytest.raises(DatasetError, match=message):
            thresholds(opened.collection, load("classic"))


def test_labels_that_do_not_fit_the_scores_are_refused(tmp_path):
    write(tmp_path / "2023-01", 12)
    write(tmp_path / "2023-02", 12, start=12)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        opened.add(tmp_path)
        with pytest.raises(DatasetError, match="chance gives 50 %"):
            thresholds(opened.collection, load("classic"), precision=0.4)
