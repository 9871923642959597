"""Any sequence of calls has the same result as on a model of dicts."""

from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgsearch.errors import ImageBusy, ImageExists, ImageNotFound
from tests.catalog.places import content, entry

REFUSALS = (ImageBusy, ImageExists, ImageNotFound)
IDS = ("a", "b", "c", "d")
ids = st.lists(st.sampled_from(IDS), max_size=3)
entries = st.builds(
    lambda id_, n, collection, label: entry(
        n, id=id_, content=content(n), collection=collection, label=label
    ),
    st.sampled_from(IDS),
    st.integers(1, 2),
    st.sampled_from(["photos", "other"]),
    st.sampled_from(["", "ä"]),
)
calls = st.one_of(
    st.tuples(st.just("begin"), st.lists(entries, max_size=3)),
    st.tuples(st.sampled_from(["ready", "mark_deleting", "forget"]), ids),
    st.tuples(st.just("failed"), st.dictionaries(st.sampled_from(IDS), st.just("Fehler ß"))),
    st.tuples(st.just("update"), st.sampled_from(IDS)),
)


class Model:
    """The catalog as a dict, without times."""

    def __init__(self):
        self.rows = {}

    def begin(self, entries):
        rows = dict(self.rows)
        for new in entries:
            row = rows.setdefault(new.id, new)
            if (row.content, row.collection) != (new.content, new.collection):
                raise ImageExists
            if row.state == "failed":
                rows[new.id] = replace(row, state="pending", error="")
        going = {row.content for row in self.rows.values() if row.state == "deleting"}
        if any(new.content in going for new in entries):
            raise ImageBusy
        self.rows = rows
        return [rows[new.id] for new in entries]

    def _set(self, ids, states, **values):
        for id_ in ids:
            if id_ in self.rows and self.rows[id_].state in states:
                self.rows[id_] = replace(self.rows[id_], **values)

    def ready(self, ids):
        states = ("pending", "failed")
        changed = {id_ for id_ in ids if id_ in self.rows and self.rows[id_].state in states}
        self._set(ids, states, state="ready", error="")
        return changed

    def failed(self, errors):
        for id_, error in errors.items():
            self._set([id_], ("pending",), state="failed", error=error)

    def update(self, id_):
        if id_ not in self.rows:
            raise ImageNotFound
        if self.rows[id_].state == "deleting":
            raise ImageBusy
        self._set([id_], ("pending", "ready", "failed"), label="neu")
        return self.rows[id_]

    def mark_deleting(self, ids):
        present = [id_ for id_ in dict.fromkeys(ids) if id_ in self.rows]
        self._set(present, ("pending", "ready", "failed"), state="deleting")
        kept = [row for row in self.rows.values() if row.state != "deleting"]
        deletions = []
        for row in (self.rows[id_] for id_ in present):
            alike = [other.collection for other in kept if other.content == row.content]
            deletions.append((row, row.collection not in alike, not alike))
        return deletions

    def forget(self, ids):
        for id_ in ids:
            if id_ in self.rows and self.rows[id_].state == "deleting":
                del self.rows[id_]


def timeless(answer):
    """Return a result without the times of writing."""
    match answer:
        case list():
            return [timeless(item) for item in answer]
        case None:
            return None
        case tuple():
            return (timeless(answer[0]), *answer[1:])
    if hasattr(answer, "last_anywhere"):
        return (timeless(answer.entry), answer.last_in_collection, answer.last_anywhere)
    return replace(answer, updated=answer.created)


def answer(subject, name, argument):
    method = getattr(subject, name)
    try:
        if name == "update" and not isinstance(subject, Model):
            return timeless(method(argument, label="neu"))
        if name == "ready":  # returned in any order
            return set(method(argument))
        return timeless(method(argument))
    except REFUSALS as error:
        return type(error)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
@given(st.lists(calls, max_size=12))
def test_any_calls_agree_with_the_model(catalog, sequence):
    catalog.mark_deleting(IDS)
    catalog.forget(IDS)
    model = Model()
    for name, argument in sequence:
        assert answer(catalog, name, argument) == answer(model, name, argument), name
    rows = model.rows.values()
    assert timeless(list(catalog.find(IDS).values())) == [
        timeless(model.rows[id_]) for id_ in catalog.find(IDS)
    ]
    assert catalog.find(IDS).keys() == model.rows.keys()
    assert catalog.collections() == Counter(row.collection for row in rows)
    assert catalog.contents() == len({row.content for row in rows})
    waiting = {item.id for batch in catalog.unfinished() for item in batch}
    assert waiting == {row.id for row in rows if row.state in ("pending", "deleting")}
