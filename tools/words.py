"""Count words and names that the style guide forbids; fail above the level of model projects.

`python -m tools.words [--list] [PATHS]` reads docstrings, comments, sentences in strings, test
names, Markdown and notebooks. Code and text in backticks are not counted.
"""

import ast
import json
import math
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Final

import click

_ROOT: Final = Path(__file__).resolve().parents[1]
FOLDERS: Final = (
    "imgsearch",
    "operators",
    "tests",
    "tools",
    "docs",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "data",
    "notebooks",
)
"""All folders and pages of the project: `make check` reads these."""

EXEMPT: Final = {
    "tools/words.py": "lists the forbidden words",
    "tests/tools/test_words.py": "has them in its samples",
}
"""Files that are not checked, each with the reason."""


@dataclass(frozen=True)
class Rule:
    """A prose pattern with its limit in hits per 10,000 words.

    A limit is the highest rate among ten model codebases, such as httpx and attrs.
    """

    name: str
    limit: float
    pattern: re.Pattern[str]


def _rule(name: str, limit: float, pattern: str) -> Rule:
    return Rule(name, limit, re.compile(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), re.IGNORECASE))


_QUESTION: Final = r"(?![^.!?]*\?)"
_STEMS: Final = (
    "anonym|author|canonical|categor|central|character|custom|discret|emphas|equal|final|general|"
    "harmon|initial|local|material|maxim|memor|minim|modern|normal|optim|organ|parallel|penal|"
    "prior|quant|random|real|recogn|regular|serial|special|stabil|standard|summar|synchron|token|"
    "util|vector|visual"
)
_BRITISH: Final = (
    rf"\w*(?:{_STEMS})is(?:e|ed|er|ers|es|ing|ations?)",
    r"\w*(?:colour|behaviour|favour|honour|neighbour|humour|labour)\w*",
    r"catalogue\w*|centre[ds]?|grey(?:s|er|scale|ish)?|licence[ds]?|analogue|programmes?|fibres?",
    r"(?:un)?(?:label|cancel|model|travel|signal|level|fuel|dial|tunnel|channel|total)l(?:ed|ing)",
    r"analysed?|\w*metres?|litres?|theatres?|defence|offence|sceptic\w*|whilst|learnt|spelt",
    r"artefacts?|fulfil|enrol|cheques?|moulds?|tyres?|judgements?|practis\w+",
)

RULES: Final = (
    _rule("tell", 0.7, "tell|tells|told|telling"),
    _rule("what is/it/a (noun)", 1.5, rf"(?<!#\s)what (?:is|are|was|were|it|a|an){_QUESTION}"),
    _rule("is no/none", 3.9, r"(?:is|are) (?:no(?! longer| more\b)|(?-i:none))"),
    _rule("that of, those who", 1.7, "(?:that|those) of|those (?:who|that|which|whose)"),
    _rule(
        "as X does",
        1.5,
        r"(?<!(?:long|soon|fast|much|many|well)\s)as (?!(?:long|soon|well|far|much|many|if|of)\b)"
        r"(?:[\w'-]+ ){1,3}(?:does|do|did|says?)",
    ),
    _rule(
        "archaic",
        1.0,
        r"(?<!everything\s)but for|from which on|who(?:m|so)?ever|whatever|whichever|"
        r"(?:is|are|was|were) there already|to be had|of none",
    ),
    _rule("British spelling", 0, "|".join(_BRITISH)),
)

NAMES: Final = frozenset(
    ("told", "asked", "made", "there", "well", "found", "gone", "begun", "shown", "each")
)
"""Names that do not say what they hold; none may be bound."""

PUBLIC: Final = {
    ("imgsearch/encoders/registry.py", "licence"): "field of Model and key of its JSON",
    ("imgsearch/encoders/registry.py", "normalised"): "field of Model and key of its JSON",
    ("imgsearch/evaluation/run.py", "asked"): "field of Run and key of its JSON",
    ("imgsearch/library/progress.py", "found"): "field of Progress",
    ("imgsearch/archive/archive.py", "found"): "argument of Archive.add",
    ("imgsearch/archive/archive.py", "cancelled"): "argument of Archive.add",
    ("imgsearch/testing/tencent/faults.py", "unauthorised"): "field of Faults",
    ("imgsearch/catalog/job.py", "found"): "field of Job",
    ("imgsearch/wire/responses.py", "found"): "field of JobState and key of its JSON",
    ("imgsearch/wire/responses.py", "licence"): "field of ModelInfo and key of its JSON",
}
"""File → forbidden or British names that callers use: renaming them would break their code."""

_DIRECTIVE: Final = re.compile(r"#!|#\s*(?:type:|noqa|fmt:|pragma)")
_WORD: Final = r"[^\W\d_]+(?:['-][^\W\d_]+)*"
_NAMES_ROW: Final = "forbidden name"
_BRITISH_RULE: Final = RULES[-1]


@dataclass(frozen=True)
class Text:
    """A docstring, comment, sentence or page, with its first line number."""

    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Hit:
    """A match of a rule, or a forbidden name."""

    rule: str
    file: str
    line: int
    text: str


@dataclass
class Count:
    """The words read so far, and the hits among them."""

    words: int
    hits: list[Hit]

    def rows(self) -> Iterator[tuple[str, int, float, float, bool]]:
        """Yield rule, hits, hits per 10,000 words, limit, and whether the limit is met.

        For the comparison, the limit for the text's length is rounded up to whole hits.
        """
        counts = Counter(hit.rule for hit in self.hits)
        for name, limit in [(rule.name, rule.limit) for rule in RULES] + [(_NAMES_ROW, 0)]:
            rate = counts[name] / max(self.words, 1) * 10_000
            kept = counts[name] <= math.ceil(limit * self.words / 10_000)
            yield name, counts[name], rate, limit, kept


def count(paths: Iterable[Path]) -> Count:
    """Count the words and hits in files and folders."""
    total = Count(0, [])
    for file in sorted(_files(paths)):
        for text in texts(file):
            prose = _without_code(text.text)
            total.words += len(re.findall(_WORD, prose))
            total.hits += _matches(text, prose)
        total.hits += forbidden_names(file)
    return total


def texts(file: Path) -> Iterator[Text]:
    """Yield the prose of a Python file, a Markdown page or a notebook."""
    if file.suffix == ".md":
        yield Text(str(file), 1, file.read_text(encoding="utf-8"))
    for place, is_code, source in _cells(file):
        yield from _python(place, source) if is_code else [Text(place, 1, source)]


def forbidden_names(file: Path) -> Iterator[Hit]:
    """Yield file names and bound names that are forbidden or have a British spelling."""
    names = [(str(file), file.stem, 1)]
    for place, is_code, source in _cells(file):
        names += [(place, *binding) for binding in _bindings(_tree(source))] if is_code else []
    public = {name for path, name in PUBLIC if file.resolve() == _ROOT / path}
    for place, name, line in names:
        if name in public:
            continue
        if name in NAMES:
            yield Hit(_NAMES_ROW, place, line, name)
        elif name not in public and _is_british(name):
            yield Hit(_BRITISH_RULE.name, place, line, name)


def _is_british(name: str) -> bool:
    # names of tests are prose
    is_test = name.startswith("test_")
    return not is_test and _BRITISH_RULE.pattern.search(_spaced(name)) is not None


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    exempt = {_ROOT / name for name in EXEMPT}
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else [path]:
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            wanted = file.suffix in {".py", ".md", ".ipynb"} and file.resolve() not in exempt
            if wanted and not hidden:
                yield file


def _cells(file: Path) -> Iterator[tuple[str, bool, str]]:
    # yields (place, whether it is code, source) for a Python file or each notebook cell
    if file.suffix == ".py":
        yield str(file), True, file.read_text(encoding="utf-8")
    if file.suffix == ".ipynb":
        notebook = json.loads(file.read_text(encoding="utf-8"))
        for number, cell in enumerate(notebook["cells"], start=1):
            source = re.sub(r"(?m)^\s*[%!].*$", "", "".join(cell["source"]))
            yield f"{file}[{number}]", cell["cell_type"] == "code", source


@lru_cache(1)  # a file's prose and its names are read one after the other
def _tree(source: str) -> ast.AST:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree: ast.AST = compile(source, "<prose>", "exec", flags)  # parsed, not run
    return tree


def _python(place: str, source: str) -> Iterator[Text]:
    yield from _comments(place, source)
    pending: list[ast.AST] = [_tree(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield Text(place, node.lineno, _spaced(node.name.removeprefix("test_")))
        if isinstance(node, (ast.Constant, ast.JoinedStr)):
            text = _string(node)
            if _is_sentence(text):
                yield Text(place, node.lineno, text)
        inner = ast.iter_child_nodes(node)
        if isinstance(node, ast.JoinedStr):  # its constants were read above
            inner = (child for child in inner if isinstance(child, ast.FormattedValue))
        pending.extend(inner)


def _string(node: ast.Constant | ast.JoinedStr) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    values = [part.value if isinstance(part, ast.Constant) else "…" for part in parts]
    return "".join(value for value in values if isinstance(value, str))


def _is_sentence(text: str) -> bool:
    words = text.split()
    plain = [word for word in words if re.fullmatch(rf"\W*{_WORD}\W*", word)]
    return len(plain) >= 3 and len(plain) >= 0.6 * len(words)


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _comments(place: str, source: str) -> Iterator[Text]:
    # comments on consecutive lines are one text
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type != tokenize.COMMENT or _DIRECTIVE.match(token.string):
            continue
        if token.start[0] != last + 1:
            yield Text(place, first, "\n".join(block))
            block, first = [], token.start[0]
        block.append(token.string.lstrip("#: "))
        last = token.start[0]
    yield Text(place, first, "\n".join(block))


def _without_code(text: str) -> str:
    # same line numbers; without fenced blocks, examples, code in backticks, link targets and tags
    code = r"(?ms)^ *```.*?^ *```|^ *(?:>>>|\.\.\.) .*?$|``.*?``|`[^`]*`|(?<=\])\([^)]*\)|<[^>\n]+>"
    return re.sub(code, lambda match: "`" + "\n" * match.group().count("\n"), text)


def _matches(text: Text, prose: str) -> Iterator[Hit]:
    for rule in RULES:
        for match in rule.pattern.finditer(prose):
            line = text.line + prose[: match.start()].count("\n")
            around = " ".join(prose[max(match.start() - 40, 0) : match.end() + 40].split())
            yield Hit(rule.name, text.file, line, around)


def _bindings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) == "self":  # other objects have their own definition
                yield node.attr, node.lineno
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--list", "listed", is_flag=True, help="Print each hit as FILE:LINE: RULE: TEXT.")
def main(paths: tuple[Path, ...], *, listed: bool) -> None:
    """Count forbidden words in PATHS, or in the clean folders; exit 1 above a limit."""
    total = count(paths or [_ROOT / name for name in FOLDERS])
    for hit in total.hits if listed else ():
        click.echo(f"{hit.file}:{hit.line}: {hit.rule}: {hit.text}")
    click.echo(f"{'pattern':<22}{'count':>7}{'per 10,000':>12}{'limit':>7}")
    for name, hits, rate, limit, kept in total.rows():
        click.echo(f"{name:<22}{hits:>7}{rate:>12.1f}{limit:>7.1f}{'' if kept else '  above'}")
    click.echo(f"{total.words:,} words")
    sys.exit(not all(kept for *_, kept in total.rows()))


if __name__ == "__main__":
    main()
