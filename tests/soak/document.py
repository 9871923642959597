"""Requests allowed by the OpenAPI document, and others: every response matches the document."""

import tempfile
from collections import Counter
from time import perf_counter

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.service.running import jpeg
from tests.soak.service import service


def checks():
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks as openapi

    return [
        not_a_server_error,
        openapi.status_code_conformance,
        openapi.content_type_conformance,
        openapi.response_headers_conformance,
        openapi.response_schema_conformance,
    ]


def main(cases=2_000):
    print(f"schemathesis {schemathesis.__version__}: {cases:,} cases")
    started, answers = perf_counter(), Counter()
    with tempfile.TemporaryDirectory() as folder, service(folder) as running:
        files = [("file", (f"bild ü {number}.jpg", jpeg(number))) for number in range(20)]
        assert httpx.post(f"{running.url}/v1/images", files=files, timeout=60).status_code == 201
        schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
        operations = [operation.ok() for operation in schema.get_all_operations()]
        # streams do not end; tests/service covers them
        operations = [
            operation for operation in operations if not operation.path.endswith("/events")
        ]
        turn = 0
        while sum(answers.values()) < cases:
            left = cases - sum(answers.values())
            for operation in operations:
                _try(operation, -(-left // len(operations)), turn, answers)
            turn += 1
        assert httpx.get(f"{running.url}/v1/health", timeout=60).status_code == 200
    counts = ", ".join(f"{status}: {times:,}" for status, times in sorted(answers.items()))
    print(f"  {sum(answers.values()):,} cases over {len(operations)} operations; {counts}")
    print(f"  no 5xx, every response as documented; {perf_counter() - started:.0f} s")
    return answers


def _try(operation, number, turn, answers):
    """Send at most `number` generated requests for one operation."""

    @seed(turn)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def answered(case):
        answer = case.call(timeout=60)
        answers[answer.status_code] += 1
        case.validate_response(answer, checks=checks())

    answered()
