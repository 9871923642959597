"""URLs are parsed, or rejected before any request."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.errors import UrlRefused
from imgsearch.images.urls.target import Target


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com", "http://example.com/"),
        ("HTTPS://Example.COM:443/A?b=C#d", "https://example.com/A?b=C"),
        ("http://example.com:8080?x", "http://example.com:8080/?x"),
        ("http://example.com./", "http://example.com/"),
        ("http://bücher.example/käfer 犬.png".replace(" ", "_"),
         "http://xn--bcher-kva.example/k%C3%A4fer_%E7%8A%AC.png"),
        ("http://例え。テスト/", "http://xn--r8jz45g.xn--zckzah/"),
        ("http://１２７.０.０.１/", "http://127.0.0.1/"),
        ("http://[2606:4700:0::1111]:81/a", "http://[2606:4700::1111]:81/a"),
        ("http://1.2.3.example/", "http://1.2.3.example/"),
        ("http://a_b.example/%2e%2e/x", "http://a_b.example/%2e%2e/x"),
    ],
)  # fmt: skip
def test_url_is_normalized(url, expected):
    assert str(Target.parse(url)) == expected


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com/a.png", "//example.com/a.png", "/etc/passwd", "file:///etc/passwd",
        "ftp://example.com/a", "gopher://example.com:70/_x", "data:image/png;base64,AAAA",
        "http:example.com", "http:///a", "http://", "https://:443/", "http://user@example.com/",
        "http://user:geheim@example.com/", "http://example.com\\@127.0.0.1/",
        "http://127.0.0.1\\.example.com/", "http://example.com:80:81/", "http://example.com:0/",
        "http://example.com:65536/", "http://example.com:８０/", "http://example.com:+80/",
        "http://exam ple.com/", "http://example.com/\r\nHost: x", "http://example.com/\t",
        " http://example.com/", "http://example.com/\0", "http://example.com/\u202egnp.exe",
        "http://[::1", "http://::1/", "http://[::1]x/", "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/", "http://[1.2.3.4]/", "http://[v1.x]/", "http://127.1/",
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/",
        "http://127.0.0.01/", "http://1.2.3.4.5/", "http://256.1.1.1/", "http://127.0.0.1.0x/",
        "http://a.1/", "http://a.0x7f/",
        "http://%31%32%37.0.0.1/", "http://a..example/", "http://.example/", "http://-a.example/",
        "http://a-.example/", f"http://{'a' * 64}.example/", f"http://{'a.' * 127}example/",
        "http://xn--\u00fc.example/", "http://a\u00adb\u2488.example/x" * 200,
        "http://⑯⑨。254。⑯⑨。254:0/", "http://ex＠ample.com/", "http://a／b.example/",
    ],
)  # fmt: skip
def test_other_urls_are_rejected(url):
    with pytest.raises(UrlRefused) as caught:
        Target.parse(url)
    assert "geheim" not in str(caught.value)
    assert len(str(caught.value)) < 100


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=40))
def test_any_text_is_parsed_or_rejected(text):
    for url in (text, f"http://{text}", f"http://{text}.example/{text}"):
        try:
            target = Target.parse(url)
        except UrlRefused:
            continue
        assert target.host.isascii()
        assert str(target).isascii()
        assert str(target).isprintable()
        assert Target.parse(str(target)) == target  # the printed form parses to the same target


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=40))
def test_any_location_is_resolved_or_rejected(text):
    start = Target.parse("https://example.com/a/b.png")
    try:
        target = start.redirect(text)
    except UrlRefused:
        return
    assert target.scheme == "https"


def test_redirects_are_resolved_against_their_url():
    start = Target.parse("https://example.com/a/b.png?c")
    assert str(start.redirect("../ü.png")) == "https://example.com/%C3%BC.png"
    assert str(start.redirect("//cdn.example/x")) == "https://cdn.example/x"
    for location in (
        "",
        "http://example.com/",
        "file:///etc/passwd",
        "//[::1",
        "https://ex\tample.com/",
    ):
        with pytest.raises(UrlRefused):
            start.redirect(location)


def test_shown_url_has_no_query():
    message_url = Target.parse("https://s3.example/b/k.png?X-Signature=geheim#x").redacted()
    assert message_url == "https://s3.example/b/k.png"
