"""Two images are compared in a real browser."""

from tests.ui.test_search_tab import first


def test_hit_is_compared_with_another_image(page, drawn):
    page.press("Compare", "button[role=tab]")
    page.press("Compare", "button:not([role=tab])")
    page.until(lambda: "Choose two images first" in page.message())
    page.tab("Search")
    page.search("sunset over the sea")
    page.all(".tiles button")[0].click()
    page.one(".detail-panel")
    page.press("Compare")
    page.until(lambda: page.all("#image-a img"))
    assert "Choose a second image" in page.message()
    page.upload("#image-b", first(drawn, "goldfish"))
    page.until(lambda: page.all("#image-b img"))
    page.press("Compare")
    page.until(lambda: "different pictures" in page.message())
    facts = page.text(".comparison dl")
    assert "(cosine of the embeddings)" in facts
    assert "lite" in facts
    page.press("Clear")
    page.until(lambda: not page.all("#image-a img"))
    for place in ("#image-a", "#image-b"):
        page.upload(place, first(drawn, "goldfish"))
        page.until(lambda place=place: page.all(f"{place} img"))
    page.press("Compare")
    page.until(lambda: page.message() == "the same picture")
    page.until(lambda: len(page.all(".comparison img")) == 3)
    assert "1.0000" in page.text(".comparison dl")
