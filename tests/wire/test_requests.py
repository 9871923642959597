"""Search options and other request bodies as JSON and as form fields."""

import json

import pytest
from pydantic import ValidationError

from imgsearch import Field
from imgsearch.errors import ConfigError, FieldInvalid
from imgsearch.query import SearchOptions
from imgsearch.wire.requests import (
    Change,
    SearchForm,
    SearchParameters,
    SearchQuery,
    build,
    to_json,
)

OPTIONS = [
    SearchOptions(),
    SearchOptions(5, 20, Field("label") == "Käse", 0.25, 0.9, 64),
    SearchOptions(min_score="auto", hide_duplicates=True),
    SearchOptions(where=Field("jahr").isin([2023, 2024]) & ~Field("name").startswith("a")),
]


@pytest.mark.parametrize("options", OPTIONS)
def test_options_survive_json_and_form(options):
    values = {"collection": "fotos", **SearchParameters.values_of(options)}
    sent = json.dumps(to_json(SearchQuery, **values, text="a dog"))
    received = SearchQuery.model_validate_json(sent)
    assert (received.options(), received.collection, received.text) == (options, "fotos", "a dog")
    form = build(SearchForm, **values).form()
    assert all(isinstance(value, str) for value in form.values())
    assert SearchForm.model_validate(form).options() == options


def test_none_is_not_sent_so_that_older_services_accept_the_request():
    sent = to_json(SearchQuery, **SearchParameters.values_of(SearchOptions()), text="a dog")
    assert sent == {
        "collection": "images",
        "k": 10,
        "offset": 0,
        "hide_duplicates": False,
        "text": "a dog",
    }


@pytest.mark.parametrize(
    ("kind", "values", "place"),
    [
        (SearchQuery, {"k": 1_001, "text": "a dog"}, "k"),
        (SearchQuery, {"effort": 0, "text": "a dog"}, "effort"),
        (SearchQuery, {"text": " "}, "text"),
        (Change, {"label": "ü" * 256}, "label"),
    ],
)
def test_value_outside_of_the_limits_is_named(kind, values, place):
    with pytest.raises(ConfigError, match=f"do not accept {place}"):
        build(kind, **values)


@pytest.mark.parametrize("text", ["{", "[" * 10_000, "ja"])
def test_form_field_that_is_not_json_is_invalid(text):
    with pytest.raises(ValidationError) as caught:
        SearchForm.model_validate({"hide_duplicates": text})
    assert caught.value.errors()[0]["loc"] == ("hide_duplicates",)


@pytest.mark.parametrize("text", ["{", "{" * 10_000, "ja", "a = "])
def test_form_field_that_is_no_filter_is_refused(text):
    with pytest.raises(FieldInvalid):
        SearchForm.model_validate({"where": text}).options()


@pytest.mark.parametrize("kind", [SearchForm, SearchParameters])
@pytest.mark.parametrize("where", ["jahr >= 2019", {"jahr": {">=": 2019}}])
def test_filter_is_a_text_or_an_object(kind, where):
    where = json.dumps(where) if kind is SearchForm and isinstance(where, dict) else where
    assert kind.model_validate({"where": where}).options().where == (Field("jahr") >= 2019)


def test_invalid_filter_raises_with_a_pointer():
    with pytest.raises(FieldInvalid, match="/op"):
        SearchForm.model_validate({"where": '{"field": "a", "op": "~", "value": 1}'}).options()
