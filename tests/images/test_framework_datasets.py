"""Data sets of Hugging Face and torch, as their own packages make them."""

import io

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import SourceError
from imgsearch.images import decode, sources
from imgsearch.images.inputs import Reading, count, references
from tests.pictures import picture, write


@pytest.fixture(scope="module")
def datasets():
    """Return the package, which takes 0.4 s to import, and torch 1 s."""
    return pytest.importorskip("datasets")


@pytest.fixture(scope="module")
def torch():
    pytest.importorskip("torch.utils.data")
    return pytest.importorskip("torch")


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def hub(datasets, tmp_path):
    """Return a data set with a file, bytes with a name, and a missing image."""
    (file,) = write(tmp_path, 1)
    columns = {
        "image": [
            {"path": str(file), "bytes": None},
            {"path": "猫/b.png", "bytes": png(picture(1))},
            None,
        ],
        "label": [0, 1, 1],
        "caption": ["ein Käse", "eine Katze", None],
    }
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["Käse", "猫"]),
            "caption": datasets.Value("string"),
        }
    )
    return datasets.Dataset.from_dict(columns, features=features)


@pytest.mark.parametrize("form", ["plain", "streamed", "numpy", "shuffled"])
def test_hugging_face_images_keep_their_bytes(datasets, hub, form):
    file = hub.cast_column("image", datasets.Image(decode=False))[0]["image"]["path"]
    dataset = {
        "plain": lambda: hub,
        "streamed": hub.to_iterable_dataset,
        "numpy": lambda: hub.with_format("numpy"),
        "shuffled": lambda: hub.select([0, 1, 2]),
    }[form]()
    ignored = []
    first, second = references(dataset, Reading(ignored=ignored.append))
    assert (first.path, first.label, dict(first.fields)) == (file, "Käse", {"caption": "ein Käse"})
    assert (second.path, second.label) == ("猫/b.png", "猫")
    assert sources.read(second) == png(picture(1))
    np.testing.assert_array_equal(decode(sources.read(first)), picture(0))
    assert ignored == ["row 3"]
    assert count(dataset) == (0 if form == "streamed" else 3)


def test_hugging_face_split_is_chosen_by_the_caller(datasets, hub):
    with pytest.raises(SourceError, match="the data set has splits, train, test: add one of them"):
        references(datasets.DatasetDict({"train": hub, "test": hub}))
    with pytest.raises(SourceError, match="no column of paths or images.*, but: caption"):
        references(hub.select_columns(["caption"]))


@pytest.fixture
def pictures(torch):
    """Return pictures as tensors, with the index of a class; the second cannot be read."""

    class Pictures(torch.utils.data.Dataset):
        classes = ("Käse", "猫")

        def __len__(self):
            return 3

        def __getitem__(self, index):
            if index == 1:
                raise RuntimeError("kaputt")
            return torch.from_numpy(picture(index).copy()).permute(2, 0, 1) / 255, index // 2

    return Pictures()


def test_torch_images_are_read_one_by_one(torch, pictures):
    first, second, third = references(pictures)
    assert (first.label, third.label, count(pictures)) == ("Käse", "猫", 3)
    np.testing.assert_array_equal(decode(sources.read(third)), picture(2))
    with pytest.raises(SourceError, match="image 2: RuntimeError: kaputt"):
        sources.read(second)
    data = torch.utils.data
    assert [image.label for image in references(data.Subset(pictures, [2]))] == ["猫"]
    assert count(data.ConcatDataset([pictures, pictures])) == 6


def test_torch_stream_and_tensors(torch):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield Image.fromarray(picture(0))
            yield torch.from_numpy(picture(1).copy()), torch.tensor(4)

    images = list(references(Stream()))
    assert [image.label for image in images] == [None, "4"]
    batch = torch.stack([torch.from_numpy(picture(seed).copy()) for seed in range(2)])
    assert len(list(references(batch))) == count(batch) == 2
    for wrong in (torch.ones(5), torch.ones(1, 5), torch.ones(5, dtype=torch.bfloat16)):
        with pytest.raises(SourceError, match="vector|cannot read the Tensor"):
            references(wrong)
