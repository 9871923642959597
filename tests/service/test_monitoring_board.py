"""The Grafana board and the alerts in the documentation use metrics that the service has."""

import json
import re
from pathlib import Path

from imgsearch.service.metrics import Metrics

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_board_and_alerts_use_metrics_of_the_service():
    metrics = Metrics()
    metrics.requests.labels("/v1/search", "POST", "200").inc()
    metrics.seconds.labels("/v1/search").observe(1)
    metrics.note("embed", 1)
    metrics.images.labels("new").inc()
    known = set(re.findall(r"^(imgsearch_\w+)[ {]", metrics.text().decode(), re.MULTILINE))
    board = json.loads((DOCS / "assets/imgsearch.grafana.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(queries) > 7
    page = (DOCS / "monitoring.md").read_text(encoding="utf-8")
    queries += re.findall(r"expr: (.+)", page)
    for query in queries:
        names = set(re.findall(r"\bimgsearch_\w+", query))
        assert names <= known, query
    documented = set(re.findall(r"`(imgsearch_\w+)`", page))
    families = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in known}
    assert documented == families - {"imgsearch_requests", "imgsearch_images"}
