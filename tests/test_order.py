"""Sort orders: numbers, then texts, and missing values last."""

import pytest

from imgsearch import Hit
from imgsearch.errors import ConfigError
from imgsearch.order import Order

HITS = [
    Hit("a", 0.9, 0.1, {"year": 2019}),
    Hit("b", 0.8, 0.2, {}),
    Hit("c", 0.7, 0.3, {"year": 2024}),
    Hit("d", 0.6, 0.4, {"year": ""}),
    Hit("e", 0.5, 0.5, {"year": "1999"}),
    Hit("f", 0.4, 0.6, {"year": 2019}),
]


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("year", "afcebd"), ("-year", "ecafbd"), ("score", "fedcba"), ("-score", "abcdef"),
        ("distance", "abcdef"), ("-id", "fedcba"), ("nothing", "abcdef"),
    ],
)  # fmt: skip
def test_items_are_sorted(order, ids):
    assert "".join(hit.id for hit in Order.parse(order).sorted(HITS)) == ids


@pytest.mark.parametrize("text", ["", "-", "--a", "a b", "a,b", "a" * 65, 5, None, "a\0"])
def test_invalid_order_is_refused(text):
    with pytest.raises(ConfigError, match="order"):
        Order.parse(text)


def test_fields_may_have_another_home():
    assert Order("n").sorted([3, 1, 2], lambda n: {"n": n}) == [1, 2, 3]
