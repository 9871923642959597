"""Every known weakness of five other image-search systems has a test that excludes it here."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SERVICE = "service/test_weaknesses.py::test_"
CRASHES = "archive/test_crashes.py::test_"
WEAKNESSES = {
    "reads files by path": SERVICE + "no_route_reads_a_file_by_its_path",
    "writes files by upload name": SERVICE + "file_name_is_never_used_as_a_path",
    "fetches any URL": SERVICE + "urls_are_fetched_only_when_allowed_and_never_from_this_machine",
    "SQL injection": "catalog/test_entries.py::test_names_are_data",
    "unauthenticated deletion": SERVICE + "deletion_needs_a_key_and_an_exact_name",
    "open debugger": SERVICE + "debugger_is_disabled",
    "default secrets": SERVICE + "service_has_no_default_secret_and_shows_none",
    "public bucket": ("objects/test_s3.py::test_requests_without_credentials_cannot_read_or_list"),
    "weights run code": (
        "encoders/timm/test_encoder.py::test_weights_with_code_are_rejected_without_running_it"
    ),
    "open CORS and unlimited bodies": (
        SERVICE + "other_origins_are_rejected_and_bodies_are_bounded"
    ),
    "exception text in responses": SERVICE + "responses_contain_no_exception_path_or_address",
    "interrupted addition": CRASHES + "killed_addition_loses_and_leaves_nothing",
    "interrupted deletion": CRASHES + "killed_deletion_is_completed",
    "overflow of ids": "catalog/test_entries.py::test_ids_are_strings",
    "races between writers": (
        "catalog/test_writers.py::test_two_processes_with_the_same_contents_stay_consistent"
    ),
    "accepts files of any type": SERVICE + "only_images_are_accepted_under_any_name",
    "scores of other images": (
        SERVICE + "every_hit_has_its_own_score_despite_missing_and_double_rows"
    ),
    "duplicates after a second load": (
        SERVICE + "loading_twice_adds_nothing_and_equal_names_stay_separate"
    ),
    "errors with status 200": SERVICE + "errors_have_their_status",
    "missing file with status 500": SERVICE + "missing_original_is_not_a_server_error",
    "exit in a handler": SERVICE + "exceptions_in_handlers_do_not_end_the_service",
    "shared collection state": (
        SERVICE + "collections_stay_separate_and_progress_is_reported_during_a_load"
    ),
    "destructive setup": (
        "../imgsearch/testing/contract/test_collections.py::"
        "test_creating_twice_with_the_same_schema_opens"
    ),
    "unordered pages and mixed scales": (
        SERVICE + "listings_are_ordered_and_bounded_and_scores_have_one_scale"
    ),
    "fixed number of hits": SERVICE + "k_is_a_parameter_and_many_queries_are_one_request",
    "mixed color orders": (
        "compat/test_embedding.py::test_both_color_orders_give_the_same_embedding"
    ),
    "non-standard measures": (
        "evaluation/test_metrics.py::test_standard_rule_detects_towhees_average_precision"
    ),
    "leftover uploads": SERVICE + "uploads_leave_no_file_and_equal_names_stay_separate",
    "untested routes": SERVICE + "routes_match_the_document",
}


@pytest.mark.parametrize("test", WEAKNESSES.values(), ids=WEAKNESSES.keys())
def test_every_weakness_has_its_test(test):
    file, _, name = test.partition("::")
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
