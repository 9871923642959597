"""Errors as responses: every class has a status and code, and reveals no internals."""

import errno
import json
import pickle

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from imgsearch import errors
from imgsearch.service.problems import answer
from imgsearch.wire.problems import KINDS, kind_of, message

EVERY = [
    member
    for member in vars(errors).values()
    if isinstance(member, type) and issubclass(member, errors.ImgSearchError)
]


def test_every_error_class_has_a_response():
    assert set(KINDS) == set(EVERY)
    for family, kind in KINDS.items():
        assert 400 <= kind.status < 600
        assert kind.code.isidentifier()
        assert kind.code == kind.code.lower()
        assert kind_of(pickle.loads(pickle.dumps(family("größe")))) is kind  # noqa: S301 - ours
        assert not (kind.public and kind.status >= 500), family


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
def test_message_with_a_path_or_address_is_replaced(place):
    for family in (errors.ConfigError, errors.FieldInvalid, errors.LimitExceeded):
        assert message(family(f"{place}: wrong")) == KINDS[family].text


def test_message_about_the_request_is_sent():
    error = errors.ConfigError("a weight is finite and above 0, not nan; give 1/2 or so")
    assert message(error) == str(error)
    assert message(errors.TextUnknown("'größe' has no known word")).startswith("'größe'")
    assert message(errors.BackendError("the driver says no")) == KINDS[errors.BackendError].text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OSError(errno.EMFILE, "Too many open files: '/tmp/größe'"), 503, "busy"),
        (OSError(errno.EIO, "Input/output error"), 500, "internal"),
        (ClientDisconnect(), 400, "disconnected"),
        (HTTPException(404), 404, "route_not_found"),
        (HTTPException(418), 418, "refused"),
        (errors.AccessDenied("no"), 401, "access_denied"),
    ],
)
def test_error_response_has_its_status_and_code(error, status, code):
    response = answer({"state": {"request_id": "eins"}}, error)
    problem = json.loads(response.body)
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["instance"] == "urn:imgsearch:request:eins"
    assert "größe" not in problem["detail"]
    assert ("WWW-Authenticate" in response.headers) == (status == 401)
    assert ("Retry-After" in response.headers) == (status == 503)
