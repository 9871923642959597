"""The service's log over HTTP, for admins."""

import logging

from imgsearch.logs import logging_to_stderr


def test_log_needs_an_admin_key_and_has_the_newest_lines(service):
    with logging_to_stderr("text", "debug"):
        logging.getLogger("imgsearch.tests").warning("größe %d", 7)
        response = service.http.get("/v1/log", params={"most": 5, "level": "warning"})
        assert response.status_code == 200
        (line,) = response.json()["lines"][-1:]
        assert (line["message"], line["level"], line["logger"]) == (
            "größe 7", "warning", "imgsearch.tests",
        )  # fmt: skip
    for scope in ("read", "write"):
        headers = {"Authorization": f"Bearer {service.secrets[scope]}"}
        refused = service.http.get("/v1/log", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert service.http.get("/v1/log", params={"most": 0}).status_code == 422
    assert service.http.get("/v1/log", params={"level": "loud"}).status_code == 422
