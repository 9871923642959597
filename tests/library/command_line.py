"""The command line as `SearchableImages`: each call runs a command in this process."""

import json
from os import PathLike, fsdecode

import click
import numpy as np
from click.testing import CliRunner
from PIL import Image

import imgsearch
from imgsearch.cli import cli
from imgsearch.errors import CollectionNotFound, ConfigError, ImageNotFound, ImgSearchError
from imgsearch.filters import to_filter
from imgsearch.filters.mapping import to_json as filter_to_json
from imgsearch.library.hits import Hits
from imgsearch.library.interface import SearchableImages
from imgsearch.library.progress import Report
from imgsearch.query import Query, SearchOptions
from imgsearch.types import Failure, Hit, Record


class NotOffered(Exception):
    """The command line has no such thing."""


class CommandLine(SearchableImages):
    """The commands over one memory store; `folder` is for files that stand for objects."""

    def __init__(self, url, folder, fields):
        self.url, self.name, self._folder = url, "images", folder
        self._store = imgsearch.open(url)  # memory lasts while it is open
        self._fields = [f"--field={name}:{kind.__name__}" for name, kind in fields.items()]
        self._files = 0

    def _run(self, command, *words):
        return json.loads(self._output(command, "--db", self.url, "--json", *words))

    @staticmethod
    def _output(*words):
        """Return the output of a command. An error of imgsearch is raised as in the other doors."""
        result = CliRunner().invoke(cli, list(map(str, words)), standalone_mode=False)
        error = result.exception
        if isinstance(error, click.ClickException):
            cause = error.__cause__
            raise cause if isinstance(cause, ImgSearchError) else ConfigError(error.message)
        if error is not None and not isinstance(error, SystemExit):
            raise error
        return result.stdout

    def add(self, *images, path_column=None, label_column=None, url_hosts=(), fields=None,
            all_fields=False, exclude=(), frames="1", progress=None, on_progress=None,
            on_failure=None, on_ignored=None):  # fmt: skip
        if on_progress or on_failure or on_ignored:
            raise NotOffered
        words = [self._source(source, fields or {}) for source in images]
        words += ["--all-fields"] * all_fields + [f"--exclude={word}" for word in exclude]
        words.append(f"--frames={frames}")
        facts = self._run("add", "--model=lite", *self._fields, *words)
        del facts["count"]
        failures = tuple(Failure(**failure) for failure in facts.pop("failures"))
        return Report(**facts | {"notes": tuple(facts["notes"])}, failures=failures)

    def _source(self, source, fields):
        """Return a path. A list of rows becomes a file of JSON lines, and its images files."""
        if isinstance(source, str | PathLike) and not fields:
            return fsdecode(source)
        if not (isinstance(source, list) and all(isinstance(row, dict) for row in source)):
            raise NotOffered
        lines = []
        for row in source:
            values = {name: value for name, value in row.items() if name != "image"}
            path = self._word(row.get("path", row.get("image")))
            lines.append(json.dumps({**fields, **values, "path": str(path)}))
        file = self._file("jsonl")
        file.write_text("\n".join(lines), "utf-8")
        return file

    def _file(self, suffix):
        self._files += 1
        return self._folder / f"objekt {self._files}.{suffix}"

    def search(self, query, **options):
        hosts = options.pop("url_hosts", ())
        return self.search_with(query, SearchOptions(**options), url_hosts=hosts)

    def search_with(self, query, options, *, url_hosts=()):
        words = ["-k", options.k, f"--offset={options.offset}", f"--mode={options.mode}"]
        if options.where is not None:
            words.append(f"--where={json.dumps(filter_to_json(to_filter(options.where)))}")
        single = {"min-score": options.min_score, "effort": options.effort}
        single["order-by"] = options.order_by
        words += [f"--{name}={value}" for name, value in single.items() if value is not None]
        if options.hide_duplicates is not False:
            if options.hide_duplicates is not True:
                raise NotOffered
            words.append("--hide-duplicates")
        rows = self._run("search", *words, "--", *self._terms(query))
        return Hits(Hit(**row) for row in rows)

    def _terms(self, query):
        """Return the words of a query; an image in memory becomes a file."""
        whole = query if isinstance(query, Query) else Query(query)
        words = []
        for number, term in enumerate(whole.terms):
            words += ["-" if term.weight < 0 else "+"] * (number > 0)
            weight = "" if abs(term.weight) == 1 else f"{abs(term.weight)}*"
            words.append(f"{weight}{term.kind}:{self._word(term.value)}")
        return words

    def _word(self, value):
        match value:
            case bytes():
                file = self._file("bin")
                file.write_bytes(value)
                return file
            case np.ndarray():
                file = self._file("png")
                Image.fromarray(value).save(file)
                return file
        return fsdecode(value)

    def search_many_with(self, queries, options, *, url_hosts=(), errors="raise"):
        results = []
        for query in queries:  # one command each
            try:
                results.append(self.search_with(query, options, url_hosts=url_hosts))
            except ImgSearchError as error:
                if errors == "raise":
                    raise
                results.append(error)
        return results

    def more_like(self, id_, **options):
        raise NotOffered

    def records(self, where=None, *, order_by=None):
        words = [] if order_by is None else [f"--order-by={order_by}"]
        if where is not None:
            words.append(f"--where={json.dumps(filter_to_json(to_filter(where)))}")
        try:
            rows = self._run("list", *words)
        except CollectionNotFound:
            rows = []
        return iter([Record(row["id"], None, row["fields"]) for row in rows])

    def get(self, id_):
        try:
            (row,) = self._run("list", "--", id_)
        except CollectionNotFound as error:
            raise ImageNotFound(id_) from error
        return Record(row["id"], None, row["fields"])

    def __contains__(self, item):
        if not isinstance(item, str | PathLike):
            return False
        try:
            self.get(fsdecode(item))
        except ImgSearchError:
            text = fsdecode(item)
            paths = [text, str(self._folder.cwd() / text)]
            return "\0" not in text and bool(self.count({"path": paths}))
        return True

    def count(self, where=None):
        words = [] if where is None else [json.dumps(filter_to_json(to_filter(where)))]
        try:
            return self._run("list", "--count", *(f"--where={word}" for word in words))["count"]
        except CollectionNotFound:
            return 0

    def exists(self):
        try:
            self._run("info")
        except CollectionNotFound:
            return False
        return True

    def facets(self, field, *, where=None, most=20):
        words = [f"--values={field}", f"--most={most}"]
        if where is not None:
            words.append(f"--where={json.dumps(filter_to_json(to_filter(where)))}")
        rows = self._run("fields", *words)["values"]
        return {row["value"]: row["images"] for row in rows}

    def declare_fields(self, fields):
        names = {name: getattr(kind, "__name__", kind) for name, kind in fields.items()}
        words = [f"{name}:{kind}" for name, kind in names.items()]
        if not self.exists():
            words += [option.removeprefix("--field=") for option in self._fields]
        return self._run("fields", "--model=lite", *words)["fields"]

    def remove(self, *ids):
        return self._run("remove", "--", *ids)["removed"]

    def embed(self, items, *, url_hosts=()):
        raise NotOffered

    def to_parquet(self, file):
        return json.loads(self._output("copy", self.url, file, "--json"))["copied"]

    def close(self):
        self._store.close()
