"""The tab with the log."""


def test_log_tab_shows_the_newest_lines_and_follows(page):
    page.press("Log", "button[role=tab]")
    page.until(lambda: "GET" in page.text(".log"))
    assert "info" in page.text(".log")
    newest = page.all(".log tbody tr")[0].text
    page.press("Read again")
    page.until(lambda: page.all(".log tbody tr")[0].text != newest)
