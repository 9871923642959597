"""Searches in a real browser: by text, by image, by part of an image, and combined."""

import base64

import httpx
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

EDGES = ("left", "top", "right", "bottom")
GIVE = """
const [data, way] = arguments;
const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
const files = new DataTransfer();
files.items.add(new File([bytes], `${way}.jpg`, { type: 'image/jpeg' }));
const event = way === 'paste' ? new ClipboardEvent(way, { clipboardData: files, bubbles: true })
  : new DragEvent(way, { dataTransfer: files, bubbles: true, cancelable: true });
document.querySelector('.top').dispatchEvent(event);
"""


def pressed(page, name):
    """Press a button of the panel that shows one image."""
    page.one(".detail-panel")
    page.press(name)


def size_of(page, selector):
    """Return an image's own width and height in pixels."""
    code = "const i = arguments[0]; return [i.naturalWidth, i.naturalHeight]"
    return page.script(code, page.one(selector))


def first(drawn, label):
    return min((drawn / "train" / label).iterdir())


def test_enter_key_searches_by_text(page):
    page.search("sunset over the sea")
    assert page.names()[0].startswith("sunset_sea")
    assert len(page.names()) == 24
    assert page.scores() == sorted(page.scores(), reverse=True)
    assert "24 images nearest to “sunset over the sea”" in page.message()


def test_address_keeps_the_search_and_back_returns_to_the_newest_images(page, drawn):
    page.until(lambda: page.message().startswith("The newest 24 of"))
    newest = page.names()
    page.search("a goldfish & a lamp")
    page.until(lambda: "?q=a+goldfish+%26+a+lamp&collection=images" in page.driver.current_url)
    page.press("Show more")
    page.until(lambda: len(page.names()) == 48)
    page.until(lambda: "k=48" in page.driver.current_url)
    address, names = page.driver.current_url, page.names()
    page.driver.get("about:blank")
    page.driver.get(address)
    page.until(lambda: page.names() == names)
    assert page.one("#words textarea").get_attribute("value") == "a goldfish & a lamp"
    page.until(lambda: page.script("return history.state && history.state.key"))
    page.all(".tiles button")[0].click()
    pressed(page, "More like this")
    page.until(lambda: f"nearest to {names[0]}" in page.message())
    page.until(lambda: "like=" in page.driver.current_url)
    assert page.one("#words textarea").get_attribute("value") == ""
    page.upload("#words", first(drawn, "goldfish"))
    page.one("#words img")
    page.press("Search")
    page.until(lambda: "nearest to the image" in page.message())
    page.driver.back()
    page.until(lambda: f"nearest to {names[0]}" in page.message() and not page.all("#words img"))
    page.driver.forward()
    page.until(lambda: "nearest to the image" in page.message() and page.all("#words img"))
    page.press("Clear")
    page.until(lambda: "?" not in page.driver.current_url)
    page.until(lambda: page.names()[:24] == newest)


def test_invalid_address_searches_for_nothing(page):
    page.driver.get(f"{page.url}?q=&k=9999&collection=none%00&where=%22")
    page.until(lambda: "vectors" in page.text(".facts-line"))
    page.until(lambda: page.one("#collection input").get_attribute("value") == "images")
    page.until(lambda: "filter" in page.message().lower())
    assert page.names() == []


def test_slider_searches_again(page):
    page.search("sunset over the sea")
    page.press("What to show")
    slider = page.one("#k input[type=range]")
    slider.send_keys(Keys.ARROW_LEFT * 4)
    page.until(lambda: len(page.names()) == 20)
    assert "20 images nearest" in page.message()


def test_image_finds_itself_and_then_similar_ones(page, drawn):
    page.upload("#words", first(drawn, "zebra_stripes"))
    page.one("#words img")
    page.press("Search")
    page.until(page.hits)
    assert page.names()[0] == "zebra_stripes_00.jpg"
    assert page.scores()[0] > 0.999
    page.all(".tiles button")[0].send_keys(Keys.ENTER)  # a tile is a button, also for keyboards
    page.until(lambda: "zebra_stripes" in page.text(".facts dd"))
    facts = page.text(".facts dl")
    for fact in ("160 x 120 pixels", "JPEG", "folder", "lite", "ready", "stored"):
        assert fact in facts
    link = page.one(".actions a[download]")
    assert link.get_attribute("download") == "zebra_stripes_00.jpg"
    answer = httpx.get(link.get_attribute("href"))
    assert answer.content == first(drawn, "zebra_stripes").read_bytes()
    page.click("[data-copy]")
    page.until(lambda: page.text("[data-copy]") == "Copied")
    page.click("[data-full]")
    page.one("dialog[open] img")
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.until(lambda: not page.all("dialog"))
    pressed(page, "More like this")
    page.until(lambda: "nearest to zebra_stripes_00.jpg" in page.message())
    assert page.names()[0] == "zebra_stripes_01.jpg"
    assert "zebra_stripes_00.jpg" not in page.names()


def test_part_of_an_image_is_searched(page, drawn):
    page.upload("#words", first(drawn, "goldfish"))
    page.one("#words img")
    page.press("Search a part of it")
    page.one(".crop img")
    right = page.one("[data-edge=right]")
    right.send_keys(Keys.ARROW_LEFT * 50)
    assert right.get_attribute("value") == "50"
    page.press("Search this part")
    page.until(page.hits)
    assert page.scores()[0] < 0.999
    assert size_of(page, "#words img") == [80, 120]


def test_part_is_drawn_with_the_pointer(page, drawn):
    page.upload("#words", first(drawn, "goldfish"))
    page.one("#words img")
    page.press("Search a part of it")
    cut = page.one(".cut")
    page.until(lambda: cut.rect["height"] > 50)  # the picture is loaded
    width, height = cut.rect["width"], cut.rect["height"]
    hand = ActionChains(page.driver)
    hand.move_to_element_with_offset(cut, -round(width / 4), -round(height / 4)).click_and_hold()
    hand.move_by_offset(round(width / 2), round(height / 2)).release().perform()
    edges = [float(page.one(f"[data-edge={name}]").get_attribute("value")) for name in EDGES]
    assert edges == pytest.approx([25, 25, 75, 75], abs=2)
    page.press("Search this part")
    page.until(page.hits)
    assert size_of(page, "#words img") == pytest.approx([80, 60], abs=4)


def test_url_is_refused_where_none_is_fetched(page):
    page.write("#words textarea", "https://example.org/a.jpg", enter=True)
    page.until(lambda: "URLs are not allowed" in page.message())


def test_image_is_pasted_or_dropped_anywhere(page, drawn):
    for way, label in (("paste", "pizza"), ("drop", "zebra_stripes")):
        data = base64.b64encode(first(drawn, label).read_bytes()).decode()
        page.script(GIVE, data, way)
        page.until(lambda way=way: way in page.one("#words img").get_attribute("src"))
    page.press("Search")
    page.until(page.hits)
    assert page.names()[0] == "zebra_stripes_00.jpg"
    assert page.scores()[0] > 0.999


def test_camera_picture_is_searched(page):
    page.press("Camera")
    page.press("Click to Access Webcam")
    video = page.one("#camera video")
    page.until(lambda: page.script("return arguments[0].videoWidth", video))
    page.click("#camera button[aria-label='capture photo']")
    page.one("#words img")
    page.press("Search")
    page.until(page.hits)
    assert len(page.names()) == 24


def test_image_and_text_are_weighted(page, drawn):
    page.upload("#words", first(drawn, "pizza"))
    page.one("#words img")
    page.press("Image and words together")
    weights = page.until(lambda: page.all("input[type=number]"))
    for field, weight in zip(weights, ("0", "1"), strict=True):
        page.script("arguments[0].value = ''", field)
        field.send_keys(weight + Keys.TAB)
    page.search("lighthouse")
    assert page.names()[0].startswith("lighthouse")
    assert "the image and “lighthouse”" in page.message()


def test_value_of_a_field_is_chosen_by_its_count(page):
    page.click(".facets summary")
    page.until(lambda: "rainbow" in page.text("[data-value]"))
    (rainbow,) = [value for value in page.all("[data-value]") if "rainbow" in value.text]
    number = int(rainbow.text.split()[-1])
    rainbow.click()
    value = "return document.querySelector('#where input').value"
    page.until(lambda: page.script(value) == "label contains 'rainbow'")
    page.until(lambda: page.message() == f"{number} images, newest first")
    page.search("water")
    assert {name[:7] for name in page.names()} == {"rainbow"}
    assert len(page.names()) == number
    page.click(".collections [data-name=kopien]")
    page.until(lambda: len(page.names()) == 3)
    assert page.script(value) == ""


def test_conditions_filter_hits_and_an_empty_result_has_a_message(page):
    page.press("What to show")
    page.choose("Label", "rainbow")
    page.search("water")
    assert {name[:7] for name in page.names()} == {"rainbow"}
    page.write("#where input", "label = ", enter=True)
    page.until(lambda: "column 8: a value is expected" in page.message())
    page.write("#where input", "not label in (lighthouse)")
    page.write("#name input", "_01.")
    page.press("Search")
    page.until(lambda: page.names() == ["rainbow_01.jpg"])
    page.press("a number", "label")
    page.write("#score input", "0.99")
    page.press("Search")
    page.until(lambda: "No images match" in page.message())
    assert page.names() == []


def test_words_are_compared_with_texts(page):
    page.press("What to show")
    page.press("texts", "label")
    page.write("#words textarea", "rainbow 01", enter=True)
    page.until(lambda: page.names()[:1] == ["rainbow_01.jpg"])


def test_near_duplicates_are_hidden_and_the_measured_threshold_is_used(page, drawn):
    page.choose("Collection", "kopien")
    page.until(lambda: page.text(".facts-line").split()[:2] == ["images", "3"])
    page.upload("#words", first(drawn, "goldfish"))
    page.one("#words img")
    page.press("What to show")
    page.press("Search")
    page.until(lambda: page.names() == ["fisch.jpg", "fisch kleiner.jpg", "turm.jpg"])
    page.press("Hide near-duplicates", "label")
    page.press("Search")
    page.until(lambda: page.names() == ["fisch.jpg", "turm.jpg"])
    page.press("as measured", "label")
    page.press("Search")
    page.until(lambda: page.names() == ["fisch.jpg"])
    page.write("#words textarea", "fish")  # no threshold was measured for texts
    page.press("Search")
    page.until(lambda: "no threshold" in page.message().lower())


def test_invalid_searches_show_a_message(page, drawn, tmp_path):
    page.write("#words textarea", "qwertzu", enter=True)
    page.until(lambda: "qwertzu" in page.message())
    assert page.names() == []
    page.search("zebra qwertzu")
    assert "lite does not know 'qwertzu'" in page.message()
    broken = tmp_path / "kaputt ü.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    page.upload("#words", broken)
    page.until(lambda: page.driver.find_elements(By.CSS_SELECTOR, "#words img"))
    page.press("Search")
    page.until(lambda: "This image cannot be used" in page.message())
    assert str(tmp_path) not in page.driver.page_source
