"""Thresholds from labeled images: pools by hand, separate for images and texts, in halves."""

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


def test_no_pair_chooses_and_checks():
    queries = [
        LabeledQuery(
            f"n{place}", [(f"n{other}", 0.5, True) for other in range(20) if other != place]
        )
        for place in range(20)
    ]
    choosing, checking = pools(queries)
    assert choosing.judge(0).pairs == 10 * 9  # ten choosing queries, each with the nine others
    assert checking.judge(0).pairs == 10 * 19


def test_figures_of_the_choosing_pairs_are_too_high():
    """Random scores, with half of all pairs correct: a threshold looks better only on the half
    that chose it."""
    seeming, true = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        queries = [
            LabeledQuery(
                f"q{place}", [(f"é{place}{at}", rng.random(), rng.random() < 0.5) for at in "abc"]
            )
            for place in range(40)
        ]
        with pytest.raises(PrecisionUnreached) as best:
            pools(queries)[0].lowest(1.0)
        choosing, checking = pools(queries)
        lowest = choosing.lowest(best.value.best)
        seeming.append(choosing.judge(lowest).precision)
        true.append(checking.judge(lowest).precision)
    assert np.mean(seeming) > 0.57
    assert np.mean(true) == pytest.approx(0.5, abs=0.04)


def test_threshold_that_fails_on_the_other_half_is_rejected():
    """All hits of the choosing half are correct, all hits of the other half are wrong."""
    queries = [LabeledQuery(f"q{place}", [(f"é{place}", 0.9, True)]) for place in range(40)]
    ordered = sorted(queries, key=lambda query: _random_key(query.id))
    wrong = [LabeledQuery(query.id, [(f"é{query.id}", 0.9, False)]) for query in ordered[20:]]
    with pytest.raises(PrecisionUnreached, match="failed its check") as refused:
        choose_threshold("image", [*ordered[:20], *wrong], precision=0.9)
    assert (refused.value.wanted, refused.value.checked) == (0.9, 0.0)
    assert refused.value.interval == (0.0, 0.0)


def test_threshold_comes_from_the_choosing_half():
    queries = [LabeledQuery(f"q{place}", [(f"x{place}", 0.9, True), (f"y{place}", 0.2, False)])
             for place in range(40)]  # fmt: skip
    choice = choose_threshold("text", queries, precision=0.9)
    assert choice.threshold == 0.9
    assert (choice.checked.precision, choice.checked.recall, choice.checked.queries) == (1, 1, 20)
    assert (choice.no_match.answered, choice.no_match.rejected, choice.no_match.queries) == (
        1,
        1,
        20,
    )


def test_threshold_rejects_queries_whose_label_is_not_in_the_library():
    """By pairs 0.5 would suffice: 10 of 11 hits are correct. But every query without images of
    its label would have the wrong hit."""
    queries = [
        LabeledQuery(f"q{place}", [
            ("é", 0.9, True),
            *((f"x{place}{at}", 0.7, True) for at in range(9)),
            (f"y{place}", 0.5, False),
        ])
        for place in range(40)
    ]  # fmt: skip
    assert pools(queries)[0].lowest(0.9) == 0.5
    choice = choose_threshold("image", queries, precision=0.9)
    assert choice.threshold == 0.9  # the nearest correct hits decide, because one hit is an answer
    assert choice.no_match.rejected == 1.0
    assert choice.to_dict()["no_match"]["answered"] == 1.0
    assert isinstance(pools(queries)[0], Pool)


@pytest.fixture
def labeled(tmp_path):
    """Return a folder of two classes with names known to the default encoder."""
    write_shade(tmp_path / "fötos/dog", 12, bright=False)
    write_shade(tmp_path / "fötos/snow", 12, start=12, bright=True)
    return tmp_path / "fötos"


@pytest.fixture
def library(labeled):
    with imgsearch.open(f"memory://{uuid.uuid4().hex}") as opened:
        opened.add(labeled)
        yield opened


@pytest.mark.long
def test_labels_of_the_library_and_of_a_dataset_agree(library, labeled):
    encoder = load()
    by_kind, missing = thresholds(library.collection, encoder, precision=0.2)
    assert set(by_kind) == {"image"}
    assert missing == {"text": "2 text queries are too few"}
    own = by_kind["image"]
    assert own.chosen.queries + own.checked.queries == 24
    steps = []
    theirs, _ = thresholds(
        library.collection,
        encoder,
        dataset.load(labeled),
        precision=0.2,
        on_progress=lambda *now: steps.append(now),
    )
    assert ("images", 24, 24) in steps
    assert theirs["image"].checked.queries == 12
    # of each of 24 images the other 23 are hits; 11 of them are of its class
    assert theirs["image"].checked.pairs <= 12 * 23


def test_progress_counts_broken_images_and_unknown_names(library, labeled):
    (labeled / next(labeled.iterdir()).name / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    seen = []
    thresholds(
        library.collection,
        load(),
        dataset.load(labeled),
        precision=0.2,
        on_progress=lambda *now: seen.append(now),
    )
    last = {stage: (done, total) for stage, done, total in seen}
    assert last["images"] == (25, 25)
    assert last["texts"] == (2, 2)


def test_unreached_precision_reports_the_best():
    queries = [LabeledQuery(f"q{place}", [("é", 0.9, place % 2 == 0)] * 3) for place in range(40)]
    with pytest.raises(PrecisionUnreached, match="the best is 0") as error:
        choose_threshold("image", queries, precision=1.0)
    assert 0.3 < error.value.best < 1


def test_library_without_labels_needs_a_dataset(tmp_path):
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
def test_folders_that_do_not_label_images_are_rejected(tmp_path, folders, message):
    for place, folder in enumerate(folders * (6 // len(folders))):
        write(tmp_path / folder, 1, start=place)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        opened.add(tmp_path)
        with pytest.raises(DatasetError, match=message):
            thresholds(opened.collection, load("classic"))


def test_labels_that_do_not_fit_the_scores_are_rejected(tmp_path):
    write(tmp_path / "2023-01", 12)
    write(tmp_path / "2023-02", 12, start=12)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        opened.add(tmp_path)
        with pytest.raises(DatasetError, match="chance gives 50 %"):
            thresholds(opened.collection, load("classic"), precision=0.4)
