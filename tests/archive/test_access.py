"""Keys and rate limits over a real catalog, with clocks that the tests set."""

import hashlib
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.archive.access import SCOPES, Keys, RateLimit, allows, caller
from imgsearch.catalog import Catalog
from imgsearch.errors import AccessDenied, ConfigError, ScopeMissing

BEGIN = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    with Catalog(str(tmp_path_factory.mktemp("katalog-ü") / "catalog.db")) as opened:
        yield opened


@pytest.fixture
def clock():
    return Clock(BEGIN)


@pytest.fixture
def keys(catalog, clock):
    return Keys(catalog, clock=clock)


def test_key_allows_its_scope_and_lesser_scopes(keys):
    for held in SCOPES:
        row, secret = keys.create("Käfer", [held])
        for requested in SCOPES:
            if SCOPES.index(requested) <= SCOPES.index(held):
                assert keys.check(secret, requested).id == row.id
            else:
                with pytest.raises(ScopeMissing, match=f"{held}, and this needs {requested}"):
                    keys.check(secret, requested)
    both, secret = keys.create("zwei", {"write", "read"})
    assert both.scopes == ("read", "write")
    assert keys.check(secret, "write").name == "zwei"


def test_only_a_digest_is_stored(keys, catalog):
    row, secret = keys.create("犬", ["read"])
    _, id_, rest = secret.split("_", 2)
    assert (id_, len(rest)) == (row.id, 43)  # 43 letters of 6 bits hold 256
    assert catalog.key(row.id).digest == hashlib.sha256(secret.encode()).hexdigest()
    assert rest not in repr(row)
    assert row.digest not in repr(row)
    assert keys.create("犬", ["read"])[1] != secret


def test_all_invalid_keys_have_the_same_message(keys):
    row, secret = keys.create("a", ["admin"])
    other = keys.create("b", ["admin"])[1]
    swapped = f"img_{row.id}_{other.rpartition(other.split('_')[1])[2][1:]}"
    damaged = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    unknown = secret.replace(row.id, "0" * 12)
    for wrong in (
        swapped, damaged, unknown, secret + "x", secret[:-1], secret.upper(), f" {secret}",
        f"{secret}\n", "img__", "' OR 1=1 --", "\ud800", "ключ", "x" * 1_000_000,
    ):  # fmt: skip
        with pytest.raises(AccessDenied, match="^the key is unknown"):
            keys.check(wrong, "read")
    for nothing in (None, ""):
        with pytest.raises(AccessDenied, match="a key is missing"):
            keys.check(nothing, "read")


def test_key_expires(keys, clock):
    _, secret = keys.create("kurz", ["read"], expires=BEGIN + timedelta(seconds=1))
    keys.check(secret, "read")
    clock.now = BEGIN + timedelta(seconds=1)
    with pytest.raises(AccessDenied, match="the key expired"):
        keys.check(secret, "read")


def test_revoked_key_stays_unknown(keys, clock, catalog):
    row, secret = keys.create("weg", ["write"])
    keys.revoke(row.id)
    with pytest.raises(AccessDenied, match="the key is unknown"):
        keys.check(secret, "write")
    catalog.key_used(row.id, clock.now)  # by a request that was still running
    assert row.id not in [key.id for key in keys.all()]
    with pytest.raises(AccessDenied, match=f"key '{row.id}' does not exist"):
        keys.revoke(row.id)


def test_last_use_is_saved_once_a_minute(keys, clock, catalog):
    row, secret = keys.create("oft", ["read"])
    assert row.last_used is None
    noted = []
    for seconds in (0, 1, 59, 60, 119, 121):
        clock.now = BEGIN + timedelta(seconds=seconds)
        keys.check(secret, "read")
        noted.append((catalog.key(row.id).last_used - BEGIN).total_seconds())
    assert noted == [0, 0, 0, 60, 60, 121]


def test_rejected_request_does_not_count_as_use(keys, catalog):
    row, secret = keys.create("lesen", ["read"])
    with pytest.raises(ScopeMissing):
        keys.check(secret, "admin")
    assert catalog.key(row.id).last_used is None


@pytest.mark.parametrize(
    ("name", "scopes", "expires", "why"),
    [
        ("", ["read"], None, "key name .* is invalid"),
        ("  ", ["read"], None, "key name .* is invalid"),
        ("a\nb", ["read"], None, "key name .* is invalid"),
        ("a" * 129, ["read"], None, "key name .* is invalid"),
        ("a", [], None, "scopes .* invalid. Use one or more of read, write, admin"),
        ("a", ["root"], None, "scopes .* are invalid"),
        ("a", ["read"], BEGIN, "it is over or has no time zone"),
        ("a", ["read"], datetime(2030, 1, 1), "it is over or has no time zone"),  # noqa: DTZ001 - what is refused
    ],
)
def test_invalid_key_options_are_rejected(keys, name, scopes, expires, why):
    with pytest.raises(ConfigError, match=why):
        keys.create(name, scopes, expires=expires)


def test_times_of_other_zones_are_converted(keys, clock):
    tokyo = timezone(timedelta(hours=9))
    later = datetime(2026, 11, 21, 21, 0, 5, tzinfo=tokyo)  # 12:00:05 in UTC
    row, secret = keys.create("東京", ["read"], expires=later)
    assert keys.check(secret, "read").expires == BEGIN + timedelta(seconds=5) == row.expires
    clock.now = BEGIN + timedelta(seconds=6)
    with pytest.raises(AccessDenied):
        keys.check(secret, "read")


def test_unknown_scopes_allow_nothing():
    assert not allows(["root"], "read")
    assert not allows([], "read")
    assert allows(["root", "write"], "read")


def test_caller_has_a_burst_and_then_the_rate():
    clock = Clock(1_000.0)
    limit = RateLimit(30, burst=3, clock=clock)  # one every 2 s
    assert [limit.wait("ü") for _ in range(5)] == [0, 0, 0, 2, 2]
    assert limit.wait("another") == 0
    clock.now += 1.5
    assert limit.wait("ü") == 1  # half a second, rounded up
    clock.now += 0.5
    assert [limit.wait("ü"), limit.wait("ü")] == [0, 2]
    clock.now += 3_600
    assert [limit.wait("ü") for _ in range(4)] == [0, 0, 0, 2]  # at most the burst is saved up


def test_default_burst_is_ten_seconds_of_requests():
    limit = RateLimit(60, clock=Clock(0.0))
    assert [limit.wait("a") for _ in range(11)] == [0] * 10 + [1]
    assert [RateLimit(1, clock=Clock(0.0)).wait("a")] == [0]


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.floats(0, 30), min_size=1, max_size=60), st.integers(1, 120), st.integers(1, 9))
def test_no_caller_exceeds_the_rate(pauses, per_minute, burst):
    clock = Clock(0.0)
    limit = RateLimit(per_minute, burst=burst, clock=clock)
    allowed = 0
    for pause in pauses:
        clock.now += pause
        allowed += limit.wait("a") == 0
    assert allowed <= burst + clock.now * per_minute / 60 + 1e-5


@settings(deadline=None)  # the machine may be busy
@given(st.integers(1, 120), st.integers(1, 9), st.floats(0, 100))
def test_caller_that_waits_as_requested_is_admitted(per_minute, burst, start):
    clock = Clock(start)
    limit = RateLimit(per_minute, burst=burst, clock=clock)
    while not (seconds := limit.wait("a")):
        pass
    clock.now += seconds
    assert limit.wait("a") == 0


def test_number_of_remembered_callers_is_bounded():
    limit = RateLimit(60, burst=1, most=100, clock=Clock(0.0))
    callers = [f"2001:db8:{number:x}::/64" for number in range(101)]
    assert {limit.wait(caller) for caller in callers} == {0}
    assert limit.wait(callers[1]) == 1
    assert limit.wait(callers[0]) == 0  # its count was dropped for the last caller


def test_rate_limit_holds_across_threads():
    limit = RateLimit(60, burst=50, clock=Clock(0.0))
    allowed = []

    def ask():
        allowed.extend(limit.wait("a") == 0 for _ in range(100))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(allowed) == 50


@pytest.mark.parametrize("words", [{"per_minute": 0}, {"per_minute": 9, "burst": 0}])
def test_rate_limit_must_be_positive(words):
    with pytest.raises(ConfigError, match="at least 1"):
        RateLimit(**words)


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_caller_is_an_ipv4_address_or_an_ipv6_subnet(address, whose):
    assert caller(address) == whose


def test_key_is_limited_to_collections(keys, catalog):
    row, secret = keys.create("Katzen", ["write"], collections=["b_2", "a", "a"])
    assert row.collections == ("a", "b_2")
    assert keys.check(secret, "read").collections == ("a", "b_2")
    assert catalog.key(row.id).collections == ("a", "b_2")
    row, secret = keys.create("eine", ["read"], collections="abc")
    assert row.collections == ("abc",)
    assert keys.check(keys.create("alle", ["read"])[1], "read").collections is None


@pytest.mark.parametrize(
    "collections",
    [
        (),
        "",
        ["a", ""],
        ["größe"],
        ["a,b"],
        ["a\0"],
        ["x" * 65],
        [None],
        [["a"]],
        ["*"],
        ["a"] * 1001,
    ],
)
def test_invalid_collections_create_no_key(keys, catalog, collections):
    before = catalog.keys()
    with pytest.raises(ConfigError, match="collection"):
        keys.create("x", ["read"], collections=collections)
    assert catalog.keys() == before
