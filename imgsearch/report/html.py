"""Search results as a self-contained HTML page, without scripts, links or requests.

Captions and titles come from file names, labels and queries, so they are untrusted and escaped.
If escaping ever failed, the page's Content-Security-Policy would block scripts and requests.
"""

import base64
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"
# Characters that HTML forbids, and bidirectional controls, which may disguise a file suffix.
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class Thumb:
    """A picture with its caption.

    `jpeg` is a JPEG file, preferably with 300 to 400 pixels on the longer side. It is b"" if there
    is no picture, as for a text query. A higher `score` is nearer. `relevant` is None if unknown.
    `title` is the tooltip.
    """

    jpeg: bytes
    caption: str
    score: float | None = None
    relevant: bool | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A query and its hits, best first. `note` is a line of text below the query."""

    query: Thumb
    hits: Sequence[Thumb]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page: a heading, a body of safe HTML, and `note`, a line of text below it."""

    title: str
    body: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ResultGroup:
    """Results below a heading. `note` is a line of text between them."""

    title: str
    results: Sequence[Result]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """The words that a page uses for a query, a hit, several hits, and no results."""

    query: str = "Query"
    hit: str = "Hit"
    hits: str = "hits"
    none: str = "No results."


def results_page(
    title: str,
    results: Sequence[Result],
    *,
    facts: Mapping[str, str] = {},
    lead: str = "",
    sections: Sequence[Section] = (),
    groups: Sequence[ResultGroup] = (),
    last: Sequence[Section] = (),
    words: Words = Words(),
) -> str:
    """Return an HTML page with a row for each result. It must be saved as UTF-8.

    `lead` is the first line of text. `facts` maps names to values, such as the encoder and the
    store, and is shown below. `sections` come between the facts and the results, `groups` of
    further results and `last` sections after them.
    """
    definitions = "".join(
        f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items()
    )
    rows = _rows(results, words) + "".join(_group(group, words) for group in groups)
    if not rows and not sections:
        rows = f'<p class="none">{_text(words.none)}</p>'
    return _PAGE.format(
        policy=_POLICY,
        name=_text(title, isolate=False),  # a title element does not interpret tags
        title=_text(title),
        style=_STYLE,
        lead=f'<p class="lead">{_text(lead)}</p>' if lead else "",
        facts=f"<dl>{definitions}</dl>" if definitions else "",
        sections="".join(map(_section, sections)),
        rows=rows,
        last="".join(map(_section, last)),
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table. The texts are escaped."""
    head = "".join(f"<th>{_text(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def commands(lines: Sequence[str]) -> str:
    """Return lines to type, as HTML. The texts are escaped."""
    return f"<pre>{_text(chr(10).join(lines), isolate=False, lines=True)}</pre>"


def collapsed(summary: str, body: str) -> str:
    """Return a collapsed block with a summary. `body` is safe HTML."""
    return f'<details class="more"><summary>{_text(summary)}</summary>{body}</details>'


def escape(value: str) -> str:
    """Return `value` escaped for HTML and SVG, including attributes."""
    return _text(value, isolate=False)


def _section(section: Section) -> str:
    note = f'<p class="note">{_text(section.note)}</p>' if section.note else ""
    return f"<section><h2>{_text(section.title)}</h2>{section.body}{note}</section>"


def _group(group: ResultGroup, words: Words) -> str:
    note = f'<p class="caption">{_text(group.note)}</p>' if group.note else ""
    head = f'<div class="group"><h2>{_text(group.title)}</h2>{note}</div>'
    return head + _rows(group.results, words)


def _rows(results: Sequence[Result], words: Words) -> str:
    return "\n".join(_row(number, result, words) for number, result in enumerate(results, 1))


def _row(number: int, result: Result, words: Words) -> str:
    known = [hit.relevant for hit in result.hits if hit.relevant is not None]
    share = (
        f"{sum(known)} of {len(known)} relevant" if known else f"{len(result.hits)} {words.hits}"
    )
    hits = "".join(f"<li>{_hit(rank, hit, words)}</li>" for rank, hit in enumerate(result.hits, 1))
    return _ROW.format(
        number=number,
        caption=_text(result.query.caption),
        share=_text(share, isolate=False),
        query=_query(result, words),
        hits=f"<ol>{hits}</ol>" if hits else '<p class="none">No hits.</p>',
    )


def _query(result: Result, words: Words) -> str:
    note = f'<span class="note">{_text(result.note)}</span>' if result.note else ""
    return (
        f'<figure class="query">{_picture(result.query, words.query)}<figcaption>'
        f'<span class="line"><b>{_text(words.query)}</b></span>'
        f'<span class="caption">{_text(result.query.title)}</span>{note}</figcaption></figure>'
    )


def _hit(rank: int, hit: Thumb, words: Words) -> str:
    kind, mark = _MARKS[hit.relevant]
    score = "" if hit.score is None else f"<span>{hit.score:.3f}</span>"
    return (
        f'<figure class="{kind}">{_picture(hit, f"{words.hit} {rank}")}<figcaption>'
        f'<span class="line"><b>{rank}</b>{score}</span>'
        f'<span class="caption">{_text(hit.caption)}</span>{mark}</figcaption></figure>'
    )


def _picture(thumb: Thumb, role: str) -> str:
    """Return the picture as HTML; its alternative text begins with `role`.

    Without a picture the caption is returned.
    """
    title = f' title="{_text(thumb.title, isolate=False)}"' if thumb.title else ""
    if not thumb.jpeg:
        caption = _text(thumb.caption or "no picture")
        return f'<div class="picture"><p{title}>{caption}</p></div>'
    data = base64.b64encode(thumb.jpeg).decode("ascii")
    alt = _text(f"{role}: {thumb.caption or thumb.title or 'no caption'}", isolate=False)
    return (
        f'<div class="picture"><img src="data:image/jpeg;base64,{data}" alt="{alt}"{title} '
        'decoding="async"></div>'
    )


def _text(value: str, *, isolate: bool = True, lines: bool = False) -> str:
    """Return `value` escaped for HTML. `isolate` isolates its writing direction.

    Control characters become spaces, but with `lines` line breaks stay.
    """
    if lines:
        return "\n".join(_text(line, isolate=isolate) for line in value.split("\n"))
    plain = _CONTROLS.sub(" ", value).encode("utf-8", "replace").decode()  # lone surrogates → ?
    safe = html.escape(plain, quote=True)
    return f"<bdi>{safe}</bdi>" if isolate else safe


_MARKS: Final[Mapping[bool | None, tuple[str, str]]] = {
    True: ("right", '<span class="mark"><i aria-hidden="true">✓</i> relevant</span>'),
    False: ("wrong", '<span class="mark"><i aria-hidden="true">✗</i> not relevant</span>'),
    None: ("open", ""),
}

_ROW: Final = """<details open>
<summary><span class="number">{number}</span><h2>{caption}</h2>
<span class="share">{share}</span></summary>
<div class="row">{query}{hits}</div>
</details>"""

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{name}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1>{lead}{facts}</header>
<main>
{sections}{rows}{last}
</main>
</body>
</html>
"""

# The contrast of text and marks is at least 4.5 : 1 in both schemes (WCAG 2.2 AA).
_STYLE: Final = """
:root {
  --ground: #fafaf8; --raised: #fff; --well: #f0f0ec; --line: #e3e3dd; --ink: #1d1d1b;
  --soft: #66665f; --right: #17733a; --wrong: #c4262e; --focus: #0a66d0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #131312; --raised: #1b1b1a; --well: #252523; --line: #32322f; --ink: #ecece7;
    --soft: #a1a198; --right: #4cc274; --wrong: #ff7b78; --focus: #6cb2ff;
  }
}
* { box-sizing: border-box; margin: 0; padding: 0; }
body {
  max-width: 76rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3.5rem) clamp(1rem, 3vw, 2rem);
  background: var(--ground); color: var(--ink); overflow-wrap: anywhere;
  font: 1rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
h1 { font-size: clamp(1.6rem, 4vw, 2.25rem); line-height: 1.15; letter-spacing: -.02em; }
dl {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1rem 2rem;
  margin-top: 1.75rem; padding-top: 1.25rem; border-top: 1px solid var(--line);
}
dt, .share, .caption, .note, .none { color: var(--soft); font-size: .8125rem; }
dd { font-weight: 500; font-variant-numeric: tabular-nums; }
.lead { margin-top: .75rem; max-width: 60rem; color: var(--soft); }
.group { margin-top: 1.25rem; }
.group h2 { font-size: 1.25rem; line-height: 1.3; font-weight: 650; }
pre {
  overflow-x: auto; padding: .75rem 1rem; background: var(--well); border-radius: .625rem;
  font: .875rem/1.6 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
}
main { margin-top: clamp(1.75rem, 4vw, 3rem); display: grid; gap: 1.25rem; }
main > * { min-width: 0; }
details {
  background: var(--raised); border: 1px solid var(--line); border-radius: 1rem;
  break-inside: avoid;
}
summary {
  display: flex; align-items: baseline; gap: .75rem; padding: 1rem 1.25rem; border-radius: 1rem;
  cursor: pointer; list-style: none;
}
summary::-webkit-details-marker { display: none; }
summary:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
summary h2 { flex: 1; font-size: 1.0625rem; line-height: 1.3; font-weight: 650; }
.number { min-width: 1.25rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.share { white-space: nowrap; font-variant-numeric: tabular-nums; }
.row {
  display: grid; grid-template-columns: minmax(11rem, 15rem) 1fr; gap: 1.75rem;
  padding: .25rem 1.25rem 1.5rem;
}
ol {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: 1.25rem 1rem;
  align-content: start; list-style: none;
}
.picture {
  display: grid; place-items: center; aspect-ratio: 1; overflow: hidden; padding: 0;
  background: var(--well); border-radius: .625rem;
}
.picture img { display: block; width: 100%; height: 100%; object-fit: contain; }
.picture p { padding: 1rem; text-align: center; font-size: 1.125rem; }
ol .picture { border: 3px solid transparent; }
ol .picture p { font-size: .8125rem; color: var(--soft); }
ol .right .picture { border-color: var(--right); }
ol .wrong .picture { border: 2px dashed var(--wrong); padding: 1px; }
figcaption { padding: .5rem .125rem 0; font-size: .8125rem; line-height: 1.35; }
.line { display: flex; justify-content: space-between; font-variant-numeric: tabular-nums; }
.line b { font-weight: 500; color: var(--soft); }
.line span { font-weight: 600; }
.caption, .mark { display: block; }
.mark { font-weight: 600; }
.mark i { font-style: normal; }
.right .mark { color: var(--right); }
.wrong .mark { color: var(--wrong); }
.note {
  display: block; margin-top: .75rem; padding-top: .75rem; border-top: 1px solid var(--line);
}
section {
  background: var(--raised); border: 1px solid var(--line); border-radius: 1rem;
  padding: 1rem 1.25rem 1.25rem; break-inside: avoid;
}
section h2 { font-size: 1.0625rem; line-height: 1.3; font-weight: 650; margin-bottom: .75rem; }
section .note { border: 0; padding: 0; }
section .more { border: 0; background: none; margin-top: .5rem; }
section .more summary { padding: .25rem 0; color: var(--soft); font-size: .875rem; }
section .more summary::before { content: "▸ "; }
section .more[open] summary::before { content: "▾ "; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 500; border-bottom: 1px solid var(--line); }
svg { display: block; width: 100%; max-width: 60rem; height: auto; font-size: 12px; }
.table + svg { margin-top: 1.25rem; }
svg text { fill: var(--ink); }
svg .tick { fill: var(--soft); font-size: 10px; }
svg .bar, svg .dot, svg .cell { fill: var(--focus); }
svg .bar { fill-opacity: .55; }
svg .range { stroke: var(--ink); stroke-width: 2; }
svg .axis, svg .frame { stroke: var(--line); fill: none; }
svg .best { fill: none; stroke: var(--right); stroke-width: 1.5; stroke-dasharray: 4 3; }
svg .place :is(image, text) { visibility: hidden; pointer-events: none; }
svg .place circle { fill-opacity: .75; }
svg .place:is(:hover, :focus) :is(image, text) { visibility: visible; }
svg .place:is(:hover, :focus) circle { stroke: var(--ink); stroke-width: 2; fill-opacity: 1; }
svg .place:focus { outline: none; }
@media (max-width: 44rem) {
  .row { grid-template-columns: 1fr; gap: 1.25rem; padding: 0 1rem 1.25rem; }
  summary { padding: .875rem 1rem; }
  .query { display: grid; grid-template-columns: minmax(8rem, 11rem) 1fr; gap: 0 1rem; }
  .query figcaption { align-self: end; padding: 0; }
  ol { grid-template-columns: repeat(auto-fill, minmax(6.25rem, 1fr)); gap: 1rem .75rem; }
  .mark { font-size: .6875rem; letter-spacing: -.01em; white-space: nowrap; }
}
"""
