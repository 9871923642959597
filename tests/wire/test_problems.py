"""Problem codes, as the error classes that a client raises."""

import ast
from pathlib import Path

import imgsearch.service
from imgsearch import errors
from imgsearch.wire.problems import CODES, ERRORS, KINDS, error_class

SERVICE = Path(imgsearch.service.__file__).parent


def test_every_error_class_has_a_code_that_raises_it_or_a_relative():
    for family, kind in KINDS.items():
        raised = error_class(kind.code)
        assert KINDS[raised].code == kind.code
        assert issubclass(family, raised) or kind.code in ("internal", "source_unreadable")


def test_every_code_of_the_service_has_an_error_class():
    codes = {
        call.args[1].value
        for file in SERVICE.glob("*.py")
        for call in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", "") == "HttpProblem"
        and len(call.args) > 1
        and isinstance(call.args[1], ast.Constant)
    }
    assert {"busy", "filter_invalid", "origin_refused"} < codes
    assert codes | set(CODES.values()) <= ERRORS.keys()


def test_unknown_code_raises_the_base_class():
    assert error_class("something_new") is errors.ImgSearchError
