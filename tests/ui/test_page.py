"""The page: its requests, on a phone, by keyboard, in the dark scheme."""

from tests.ui.page import Page

TABS = ("Search", "Add images", "Compare", "Log", "Browse")


def test_no_request_leaves_the_machine(page, served):
    page.requests()
    page.driver.get_log("browser")  # of earlier tests
    page.open()
    page.search("forest")
    requested = page.requests()
    assert served.url in requested
    foreign = [url for url in requested if not url.startswith((served.url, "data:", "blob:"))]
    assert foreign == []
    called = served.called()
    assert "127.0.0.1" in called  # its own address, which shows that connections are recorded
    assert called <= {"127.0.0.1", "localhost", "::1"}
    errors = [line["message"] for line in page.driver.get_log("browser")]
    assert [line for line in errors if "Refused" in line or "404" in line] == []


def test_phone_shows_one_column_without_overflow(browser, served):
    page = Page(browser, served.url).open(width=360, height=740)
    page.search("mushroom")
    page.all(".tiles button")[0].click()
    page.until(lambda: page.all(".facts img"))
    for name in TABS:
        page.tab(name)
        page.until(lambda name=name: page.text("button[role=tab][aria-selected=true]") == name)
        assert page.width() == 360
    page.until(page.names)
    fields = page.all("#browse-name, .tiles")
    assert all(field.rect["x"] >= 0 for field in fields)
    assert all(field.rect["x"] + field.rect["width"] <= 360 for field in fields)


def test_every_field_has_a_name_and_a_visible_focus(page):
    page.press("What to show")
    page.press("Image and words together")
    for name in TABS:
        page.tab(name)
        fields = page.until(lambda: page.all("input, textarea, select, [role=slider]"))
        nameless = [
            element.get_attribute("outerHTML") for element in fields if not element.accessible_name
        ]
        assert nameless == []
    page.tab("Search")
    page.one("#words textarea").send_keys("\t")
    style = "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, "
    assert page.script(style + "parseFloat(s.outlineWidth)]") == ["solid", 3]


def test_dark_scheme_is_applied(browser, served):
    page = Page(browser, served.url)
    light, dark = (
        page.open(dark=dark).script("return getComputedStyle(document.body).backgroundColor")
        for dark in (False, True)
    )
    assert sum(map(int, light[4:-1].split(","))) > 700
    assert sum(map(int, dark[4:-1].split(","))) < 100
