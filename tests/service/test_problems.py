"""Errors as answers: each class has its status and code, and tells nothing that it should not."""

import pickle

import pytest

from imgsearch import errors
from imgsearch.service.problems import KINDS, kind_of, told

EVERY = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.ImgSearchError)
]


def test_every_error_of_ours_has_its_answer():
    assert set(KINDS) == set(EVERY)
    for family, kind in KINDS.items():
        assert 400 <= kind.status < 600
        assert kind.code.isidentifier()
        assert kind.code == kind.code.lower()
        assert kind_of(pickle.loads(pickle.dumps(family("größe")))) is kind  # noqa: S301 - ours
        assert not (kind.told and kind.status >= 500), family


@pytest.mark.parametrize(
    "place",
    [
        "/srv/photos/größe.jpg",
        "~/photos",
        "milvus://user@host:19530/db",
        "mysql+pymysql://root@host",
        r"C:\photos\a.jpg",
        "the folder '/srv' is not there",
    ],
)
def test_a_message_with_a_place_in_it_is_not_told(place):
    for family in (errors.ConfigError, errors.FieldInvalid, errors.LimitExceeded):
        assert told(family(f"{place}: wrong")) == KINDS[family].text


def test_a_message_about_what_was_sent_is_told():
    error = errors.ConfigError("a weight is finite and above 0, not nan; give 1/2 or so")
    assert told(error) == str(error)
    assert told(errors.TextUnknown("'größe' has no word that tells what to look for")).startswith(
        "'größe'"
    )
    assert told(errors.BackendError("the driver says no")) == KINDS[errors.BackendError].text
