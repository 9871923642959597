"""Requests with one hostile value each, for every route and parameter of an OpenAPI document."""

import base64
import hashlib
from urllib.parse import quote

from tests.service.running import jpeg

DEEP = 100_000
# percent-encoded, as in a URL; also bytes that are not UTF-8
TEXTS = [
    "", "%00", "a%00b", "%FF%FE", "%ED%A0%80", "%C0%AE%C0%AE%2F", "%E2%80%AE", "%0D%0AX:%201", "%",
    "%25n%25s", "..%2F..%2Fetc%2Fpasswd", "nan", "NaN", "inf", "-Infinity", "1e999", "-0", "0x10",
    "1_000", "%D9%A3", "9223372036854775808", "-9223372036854775809", "9" * 5_000, "a" * 20_000,
    "%F0%9F%90%B1" * 300, "true", "null", "[]", "%7B%7D", "%5B" * 3_000, "'%3B--", "%22%5C",
    "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59", "1e18", "-1e18", "2024-02-30",
    "0000-01-01T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00", "253402300800", "-62135596801",
]  # fmt: skip
CURSORS = [
    base64.urlsafe_b64encode(hashlib.sha256(text).digest()[:6] + text).decode().rstrip("=")
    for text in (
        b"", b"[]", b"null", b"{}", b"\xff", b"NaN", b"[" * 900, b'["created up", "\\ud800", "a"]',
        b'["created up", "9999-12-31T23:59:59-23:59", "a"]', b'["created up", 1e999, "a"]',
        b'["created up", "0001-01-01T00:00:00+23:59", "\\u0000"]', b'["created up", null, null]',
        b'["created up", "2024-01-01", "a"]', b'["size up", ' + b"9" * 600 + b', "a"]',
        b'["size up", 9223372036854775808, "a"]', b'["name up", "\\u0000", "\\udfff"]',
        b"9" * 700, b"[" + b"9" * 700 + b"]",
    )
]  # fmt: skip
VALUES = [
    "null", "true", "0", "-1", "1.5", "NaN", "Infinity", "-Infinity", "1e999", "1e-999", "-0.0",
    "9" * 5_000, "9223372036854775808", '""', '"a\\u0000b"', '"\\ud800"', '"\\udfff\\ud800"',
    '"\\uffff"', '"' + "é" * 5_000 + '"', "[]", "[[]]", "[null]", '["\\ud800"]', '["\\u0000"]',
    "{}",
    '{"\\ud800": 1}', '{"\\u0000": "\\u0000"}', '{"a": "\\ud800"}', '{"a": NaN}', '{"a": 1e999}',
    '{"a": ' + "9" * 4_000 + "}", "[" * 5_000 + "]" * 5_000, '{"a":' * 5_000 + "1" + "}" * 5_000,
    '{"field": "label", "op": "==", "value": "\\ud800"}',
    '{"field": "\\ud800", "op": "==", "value": 1}',
    '{"field": "label", "op": "\\ud800", "value": 1}',
    '{"field": "label", "op": "startswith", "value": "\\u0000"}',
    '{"field": "year", "op": "<", "value": ' + "9" * 400 + "}",
    '{"field": "label", "op": "in", "value": ["\\udcff", "\\u0000"]}', '{"not": {"\\ud800": 1}}',
    '[{"text": "\\ud800"}]', '[{"id": "a", "weight": 1e308}]', '[{"image": "\\ud800"}]',
]  # fmt: skip
BODIES = [
    b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * DEEP, b'{"a":' * DEEP, b"9" * 10_000, b"NaN",
    b'"\\ud800"', b"{" + b'"a":1,' * 1_000 + b'"a":1}', "{}".encode("utf-16"),
    "{}".encode("utf-32"),
    b'{"text": "\xff"}', b'{"text": "\xed\xa0\x80"}', b'{"text": "a", "text": "b"}',
]  # fmt: skip
QUERIES = ("text", "id", "image", "terms", "folder", "urls", "ids", "queries")
PARTNERS = {"/v1/search": ', "text": "a dog"', "/v1/jobs": ', "folder": "/nowhere"'}
HEADERS = [b"\xff\xfe", b"\xc3\xa9" * 2_000, b"=?utf-8?q?=00?=", b"9" * 5_000, b"nan", b',;="\\']
NAMES = [
    "Authorization", "X-API-Key", "X-Request-ID", "Accept", "Cookie", "Origin", "If-None-Match",
    "Range", "If-Modified-Since", "X-Forwarded-Proto", "X-Forwarded-For", "X-Forwarded-Host",
    "Forwarded", "Referer", "Accept-Encoding", "Content-Encoding",
]  # fmt: skip
CHARSETS = [
    "undefined", "punycode", "idna", "rot13", "hex", "zip", "base64", "unicode_escape", "utf-7",
    "utf-16", "nowhere", "\"a", "raw_unicode_escape", "a%00b", "\xff", "mbcs", "oem", "utf-8-sig",
]  # fmt: skip
TYPES = [
    "multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary="\xff"',
    "multipart/form-data; boundary=" + "b" * 5_000, "multipart/form-data; boundary*=utf-8''%00",
    "multipart/form-data; boundary=b; boundary=c", "application/json; charset=undefined",
    "application/json; charset=punycode", "application/x-www-form-urlencoded",
    ";", "\xff", "a" * 9_000,
]  # fmt: skip
DISPOSITIONS = [
    b'form-data; name="file"; filename="a\0b.jpg"', b'form-data; name="\xff"; filename="a"',
    b'form-data; name="file"; filename="\xed\xa0\x80"', b"form-data; name*=undefined''a", b"\xff",
    b"form-data; name=\"file\"; filename*=undefined''%00", b"form-data", b'form-data; name="a\0"',
    b"form-data; name=\"file\"; filename*=utf-8''%FF%00", b'form-data; name="file"; filename=""',
    b'form-data; name="' + b"a" * 5_000 + b'"', b'attachment; name="file"; filename="a"',
]  # fmt: skip


def requests(document, known):
    """Yield (description, method, path with query, options of httpx) for every route.

    `known` has a valid value for each path parameter and required query parameter.
    """
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for name, place, options in _of(document, path, operation, known):
                yield f"{method.upper()} {path}: {name}", method.upper(), place, options


def _of(document, path, operation, known):
    parameters = operation.get("parameters", [])
    in_path = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
    in_query = [parameter["name"] for parameter in parameters if parameter["in"] == "query"]
    required = [
        parameter["name"]
        for parameter in parameters
        if parameter["in"] == "query" and parameter["required"]
    ]
    good = path.format(**{name: known[path, name] for name in in_path})
    query = "?" + "".join(f"{name}={known[path, name]}&" for name in required)
    for name in in_path:
        for text in TEXTS:
            bad = {parameter: known[path, parameter] for parameter in in_path} | {name: text}
            yield f"{name} {text[:40]}", path.format(**bad) + query, {}
    if good.endswith("/events"):
        return  # a stream
    for name in in_query:
        for text in TEXTS + CURSORS * (name == "after"):
            yield f"{name} {text[:60]}", f"{good}{query}{name}={text}", {}
    yield "query", f"{good}{query}%FF%00={quote(TEXTS[2])}&&=&a", {}
    yield from _headed(path, good + query)
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        yield from _json(document, good, content["application/json"]["schema"])
    if "multipart/form-data" in content:
        yield from _forms(good, content["multipart/form-data"]["schema"])


def _headed(path, place):
    if path in ("/v1/images", "/v1/images/{id}/original"):
        for name in NAMES:
            for value in HEADERS:
                yield f"{name} {value[:20]}", place, {"headers": {name: value}}


def _json(document, place, schema):
    headers = {"Content-Type": "application/json"}
    for body in BODIES:
        yield f"body {body[:20]}", place, {"content": body, "headers": headers}
    for name in _properties(document, schema):
        for value in VALUES:
            partner = "" if name in QUERIES else PARTNERS.get(place, "")
            body = f'{{"{name}": {value}{partner}}}'.encode()
            yield f"{name} {value[:40]}", place, {"content": body, "headers": headers}
    for kind in TYPES:
        yield f"type {kind[:40]}", place, {"content": b"{}", "headers": _kind(kind)}


def _properties(document, schema):
    name = schema.get("$ref", "").rpartition("/")[2]
    return (document["components"]["schemas"][name] if name else schema)["properties"]


def _forms(place, schema):
    good = _form({})
    for charset in CHARSETS:
        kind = f"multipart/form-data; boundary=b; charset={charset}"
        yield f"charset {charset}", place, {"content": good, "headers": _kind(kind)}
    for kind in TYPES:
        yield f"type {kind[:40]}", place, {"content": good, "headers": _kind(kind)}
    headers = _kind("multipart/form-data; boundary=b")
    for disposition in DISPOSITIONS:
        yield f"part {disposition}", place, {"content": _form({}, disposition), "headers": headers}
    for name in schema["properties"]:
        for value in [*map(str.encode, VALUES), *map(str.encode, TEXTS), *BODIES[:5], *HEADERS]:
            body = _form({name: value})
            yield f"{name} {value[:40]}", place, {"content": body, "headers": headers}
    for cut in (b"", good[:-8], good.replace(b"\r\n", b"\n"), b"--b--\r\n", good * 2, b"\0" * 100):
        yield f"cut {len(cut)}", place, {"content": cut, "headers": headers}


def _kind(kind):
    return {"Content-Type": kind.encode("latin-1")}


def _form(fields, disposition=b'form-data; name="file"; filename="a.jpg"'):
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in fields.items()
    ]
    file = b"--b\r\nContent-Disposition: %s\r\n\r\n%s\r\n--b--\r\n" % (disposition, jpeg(1))
    return b"".join(parts) + file
