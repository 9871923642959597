"""Where the tests are that show the weaknesses of the five systems not to be ours.

E1 to E27 are those of SEEDS.md, part E. Those of the service have their number in their name, in
tests/service/test_weaknesses.py; these here had a better place.
"""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ELSEWHERE = {
    4: "catalog/test_entries.py::test_names_are_data",
    8: "objects/test_s3.py::test_requests_without_credentials_cannot_read_or_list",
    9: "encoders/timm/test_encoder.py::test_a_file_that_would_run_code_is_refused_and_runs_none",
    13: "catalog/test_entries.py::test_ids_are_strings",
    14: "catalog/test_writers.py::test_two_processes_with_the_same_contents_stay_consistent",
    21: "../imgsearch/testing/contract/test_collections.py::"
    "test_creating_twice_with_the_same_schema_opens",
    24: "compat/test_embedding.py::test_both_color_orders_give_the_same_embedding",
    25: "evaluation/test_metrics.py::test_the_standard_rule_catches_towhees",
}


def functions(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("number", range(1, 28))
def test_each_weakness_has_its_test(number):
    if number in ELSEWHERE:
        file, _, name = ELSEWHERE[number].partition("::")
        assert name in functions(TESTS / file)
        return
    named = re.compile(rf"test_e{number}_")
    files = [*TESTS.glob("service/test_*.py"), *TESTS.glob("archive/test_*.py")]
    assert any(named.match(name) for file in files for name in functions(file))
