"""The drawn gallery: layout, captions, determinism, atomic writes, and distinct classes."""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import ConfigError, DatasetError, SourceError
from tools.gallery import PAINTERS, classes, draw
from tools.gallery.canvas import Canvas, mix, ramp, rgb
from tools.gallery.caption import counted, one

SIZE = (96, 72)  # pixels: small enough to draw hundreds of pictures, large enough to recognize


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "Gemälde 画"
    draw(folder, per_class=4, size=SIZE)
    return folder


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every picture's pixels, by its place below the folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            np.asarray(Image.open(path)).tobytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*.jpg"))
    }


def captions(folder: Path) -> list[dict[str, str]]:
    lines = (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def painted(label: str, index: int) -> tuple[Canvas, str]:
    canvas = Canvas(*SIZE, np.random.default_rng([7, index]))
    return canvas, PAINTERS[label](canvas)


class Interrupted(Exception):
    """Interrupts a draw."""


def test_classes_are_two_dozen_sorted_names_fit_for_folders():
    assert len(classes()) == 24
    assert classes() == sorted(set(classes()))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in classes())


@pytest.mark.long
def test_layout_is_train_and_test_by_class(gallery):
    expected = {f"train/{c}/{c}_{i:02d}.jpg" for c in classes() for i in range(4)}
    expected |= {f"test/{c}/{c}_04.jpg" for c in classes()}
    assert set(digests(gallery)) == expected
    assert {p.name for p in gallery.iterdir()} == {"train", "test", "captions.jsonl", "drawn.json"}


def test_pictures_are_rgb_of_the_requested_size(gallery):
    for path in gallery.rglob("*.jpg"):
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", SIZE)


def test_captions_name_every_file_once_with_its_class(gallery):
    rows = captions(gallery)
    assert sorted(row["file"] for row in rows) == sorted(digests(gallery))
    assert all(row["label"] == row["file"].split("/")[1] for row in rows)


def test_captions_are_sentences_that_vary_within_a_class(gallery):
    by_class: dict[str, set[str]] = {}
    for row in captions(gallery):
        assert re.search(r"[a-z]{3}", row["caption"])
        assert "  " not in row["caption"]
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|\b1 \w+ (\w+s|\w+ies) ", row["caption"])
        by_class.setdefault(row["label"], set()).add(row["caption"])
    assert all(len(different) > 1 for different in by_class.values())


@pytest.mark.parametrize(
    ("label", "word", "rarer", "channel"),
    [
        ("butterfly", "blue butterfly", "orange butterfly", 2),
        ("brick_wall", "gray brick", "red brick", 2),
        ("orange_slices", "on a blue cloth", "on a wooden table", 2),
        ("goldfish", "in green water", "in blue water", 1),
    ],
)
def test_caption_names_the_painted_color(label, word, rarer, channel):
    # the share of a primary color is higher in pictures whose captions name it
    shares: dict[str, list[float]] = {word: [], rarer: []}
    for index in range(60):
        canvas, caption = painted(label, index)
        light = np.clip(canvas.rgb, 0, 1).mean(axis=(0, 1))
        for phrase, values in shares.items():
            if phrase in caption:
                values.append(float(light[channel] / light.sum()))
    assert len(shares[word]) > 3
    assert len(shares[rarer]) > 3
    assert np.mean(shares[word]) > np.mean(shares[rarer]) + 0.01


def test_caption_states_the_painted_number():
    # slices are the only bright objects on a dark table; touching slices form one blob
    exact = []
    for index in range(60):
        canvas, caption = painted("orange_slices", index)
        if "dark table" not in caption:
            continue
        blobs = blobs_of(canvas.rgb.max(axis=2) > 0.4, smallest=40)
        number = int(caption.split()[0])
        assert 1 <= blobs <= number
        exact.append((number, number == blobs))
    assert len({number for number, _ in exact}) > 2
    assert np.mean([same for _, same in exact]) > 0.5


def blobs_of(mask: np.ndarray, *, smallest: int) -> int:
    """Return the number of 4-connected regions of a mask with at least `smallest` pixels."""
    left, blobs = {(int(y), int(x)) for y, x in np.argwhere(mask)}, 0
    while left:
        front, size = [left.pop()], 0
        while front:
            y, x = front.pop()
            size += 1
            near = {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} & left
            left -= near
            front += near
        blobs += size >= smallest
    return blobs


@pytest.mark.long
def test_same_seed_gives_the_same_bytes(tmp_path, gallery):
    again = tmp_path / "again"
    draw(again, per_class=4, size=SIZE)
    assert digests(again) == digests(gallery)
    for name in ("captions.jsonl", "drawn.json", "train/pizza/pizza_00.jpg"):
        assert (again / name).read_bytes() == (gallery / name).read_bytes()


def test_picture_depends_only_on_its_index(tmp_path, gallery):
    fewer = tmp_path / "fewer"
    draw(fewer, per_class=2, size=SIZE)
    drawn, known = digests(fewer), digests(gallery)
    for label in classes():
        for index in (0, 1):
            file = f"train/{label}/{label}_{index:02d}.jpg"
            assert drawn[file] == known[file]
        query = drawn[f"test/{label}/{label}_02.jpg"]
        assert query == known[f"train/{label}/{label}_02.jpg"]


def test_two_threads_that_draw_the_same_folder_agree(tmp_path):
    def one_more(_: int) -> None:
        draw(tmp_path / "g", per_class=1, size=(32, 24))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one_more, range(2)))
    draw(tmp_path / "alone", per_class=1, size=(32, 24))
    assert digests(tmp_path / "g") == digests(tmp_path / "alone")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone", "g"]


def test_other_seed_gives_other_pictures(tmp_path, gallery):
    other = tmp_path / "other"
    draw(other, per_class=1, size=SIZE, seed=1)
    assert not set(digests(other).values()) & set(digests(gallery).values())


def test_every_picture_is_unique(gallery):
    assert len(set(digests(gallery).values())) == len(digests(gallery))


@pytest.mark.long
def test_small_square_and_broad_pictures_are_drawn():
    for size in ((16, 16), (90, 90), (200, 33), (640, 16)):
        for label in classes():
            canvas = Canvas(*size, np.random.default_rng([1, *size]))
            PAINTERS[label](canvas)
            canvas.develop()
            assert canvas.pixels().shape == (size[1], size[0], 3)
            assert np.isfinite(canvas.rgb).all()


def test_progress_counts_up_to_all(tmp_path):
    seen: list[tuple[int, int]] = []
    draw(tmp_path / "g", per_class=1, size=(32, 24), on_progress=lambda *now: seen.append(now))
    assert seen == [(done, 48) for done in range(1, 49)]  # 24 classes, a picture and a query each


def test_complete_gallery_is_not_changed(gallery):
    before = {path: path.stat().st_mtime_ns for path in gallery.rglob("*")}

    def refuse(done: int, total: int) -> None:
        raise AssertionError(f"drawn again: {done} of {total}")

    draw(gallery, per_class=4, size=SIZE, on_progress=refuse)
    assert {path: path.stat().st_mtime_ns for path in gallery.rglob("*")} == before


def test_empty_folder_is_filled(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    draw(folder, per_class=1, size=(32, 24))
    assert len(digests(folder)) == 48


def test_missing_parents_are_created(tmp_path):
    folder = tmp_path / "a" / "b" / "gallery"
    draw(folder, per_class=1, size=(32, 24))
    assert len(digests(folder)) == 48


def test_interrupted_draw_leaves_nothing(tmp_path):
    def stop(done: int, total: int) -> None:
        if done == total // 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        draw(tmp_path / "gallery", per_class=1, size=(32, 24), on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_foreign_folder_is_rejected_and_kept(tmp_path):
    (tmp_path / "fotos").mkdir()
    (tmp_path / "fotos" / "žába.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DatasetError, match="holds no such drawn gallery"):
        draw(tmp_path / "fotos", per_class=1, size=(32, 24))
    assert [p.name for p in tmp_path.rglob("*")] == ["fotos", "žába.txt"]


def test_file_in_the_way_is_rejected(tmp_path):
    (tmp_path / "gallery").write_text("mine", encoding="utf-8")
    with pytest.raises(DatasetError):
        draw(tmp_path / "gallery", per_class=1, size=(32, 24))
    assert (tmp_path / "gallery").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("other", [{"seed": 3}, {"per_class": 3}, {"size": (96, 73)}])
def test_gallery_of_other_arguments_is_rejected(gallery, other):
    with pytest.raises(DatasetError):
        draw(gallery, **{"per_class": 4, "size": SIZE, **other})


@pytest.mark.parametrize("lost", ["captions.jsonl", "test/rainbow/rainbow_01.jpg"])
def test_gallery_that_lost_a_file_is_rejected_by_name(tmp_path, lost):
    draw(tmp_path / "g", per_class=1, size=(32, 24))
    (tmp_path / "g" / lost).unlink()
    with pytest.raises(DatasetError, match=re.escape(lost)):
        draw(tmp_path / "g", per_class=1, size=(32, 24))


def test_unwritable_folder_raises_source_error(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        draw(tmp_path / "file" / "gallery", per_class=1, size=(32, 24))
    assert caught.value.path == str(tmp_path / "file" / "gallery")


@pytest.mark.parametrize(
    "wrong",
    [
        {"per_class": 0},
        {"seed": -1},
        {"size": (20, 8)},
        {"size": (240, 320)},
        {"size": (5000, 320)},
    ],
)
def test_arguments_out_of_range_are_rejected_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        draw(tmp_path / "g", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_color_alone_classifies_better_than_chance_but_imperfectly(gallery):
    files = sorted(gallery.rglob("*.jpg"))
    labels = np.array([path.parent.name for path in files])
    thumbs = np.stack(
        [np.asarray(Image.open(f).resize((8, 8), Image.Resampling.BOX), float) for f in files]
    ).reshape(len(files), -1)
    away = np.linalg.norm(thumbs[:, None] - thumbs[None], axis=2)
    np.fill_diagonal(away, np.inf)
    right = float((labels[away.argmin(axis=1)] == labels).mean())
    assert 0.25 < right < 0.85  # chance is 4 of 119: 0.034


def test_pictures_of_a_class_differ_like_photographs(gallery):
    for label in classes():
        pictures = [
            np.asarray(Image.open(path), float) for path in sorted(gallery.rglob(f"{label}_*.jpg"))
        ]
        apart = [np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[i + 1 :]]
        assert min(apart) > 6, label  # mean levels of 255; grain alone moves a pixel by about 5


def test_shapes_cover_the_area_of_geometry():
    canvas = Canvas(320, 240, np.random.default_rng(0))
    area = canvas.pixel**2
    # circle: pi r^2; ellipse: pi a b; triangle: base x height / 2; line: length x thickness
    assert canvas.ellipse(0.6, 0.5, 0.3).sum() * area == pytest.approx(np.pi * 0.09, rel=0.01)
    assert canvas.ellipse(0.6, 0.5, 0.3, 0.2).sum() * area == pytest.approx(np.pi * 0.06, rel=0.01)
    triangle = canvas.polygon([(0.2, 0.2), (1.0, 0.2), (0.2, 0.8)])
    assert triangle.sum() * area == pytest.approx(0.24, rel=0.02)
    assert canvas.stroke([(0.2, 0.5), (1, 0.5)], 0.1).sum() * area == pytest.approx(0.08, rel=0.05)


def test_window_turns_scales_and_paints_the_same_pixels():
    canvas = Canvas(320, 240, np.random.default_rng(0))
    window = canvas.at(0.6, 0.5, 0.2, turn=np.pi / 2)
    # a quarter turn clockwise on the screen: the window's right is the canvas's down
    window.paint(window.ellipse(1, 0, 0.2), "#ffffff")
    assert canvas.rgb[int(0.7 * 240), int(0.6 * 240), 0] == pytest.approx(1)
    assert canvas.rgb[int(0.5 * 240), int(0.8 * 240), 0] == 0
    assert window.pixel == pytest.approx(1 / 48)  # 0.2 of 240 pixels is one unit


def test_window_outside_the_canvas_paints_nothing():
    canvas = Canvas(64, 48, np.random.default_rng(0))
    for x, y in ((-3, 0.5), (5, 0.5), (0.5, -3), (0.5, 9)):
        window = canvas.at(x, y, 0.1)
        window.paint(window.ellipse(0, 0, 1), "#ffffff")
        window.paint(window.polygon([(-1, -1), (1, -1), (0, 1)]), "#ffffff")
    assert not canvas.rgb.any()


def test_noise_spans_zero_to_one_and_follows_the_generator():
    first, second = (Canvas(64, 48, np.random.default_rng(5)).noise(4) for _ in range(2))
    assert (first == second).all()
    assert (first.dtype, first.shape) == (np.float32, (48, 64))
    assert (float(first.min()), float(first.max())) == (0, 1)


def test_spots_keep_their_distance():
    canvas = Canvas(320, 240, np.random.default_rng(5))
    places = [complex(*place) for place in canvas.spots(5, 0.3, margin=0.1)]
    assert all(abs(a - b) > 0.3 for i, a in enumerate(places) for b in places[:i])
    assert len(places) > 2


def test_colors_mix_by_share_and_by_mask():
    assert rgb("#ff8000").tolist() == pytest.approx([1, 128 / 255, 0])
    assert mix("#000000", "#ffffff", 0.25).tolist() == pytest.approx([0.25] * 3)
    field = ramp(np.array([[0.0, 1.0, 2.0]], np.float32), 0, 2)
    assert mix("#000000", "#ffffff", field)[0, :, 0].tolist() == pytest.approx([0, 0.5, 1])


def test_words_agree_in_number_and_article():
    assert [counted(n, "tree") for n in (0, 1, 2)] == ["no trees", "1 tree", "2 trees"]
    assert counted(2, "berry", "berries") == "2 berries"
    assert [one("boat"), one("orange boat")] == ["a boat", "an orange boat"]
