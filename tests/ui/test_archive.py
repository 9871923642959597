"""Adding, browsing and deleting in a real browser."""

from PIL import Image

from tests.pictures import picture, write


def counted(page):
    return int(page.text(".facts-line dd").split()[0])


def test_files_are_added_and_a_broken_one_is_reported(page, tmp_path):
    good = write(tmp_path, 2, start=900)
    (tmp_path / "kaputt-ü.jpg").write_bytes(b"\xff\xd8\xff nothing")
    hostile = tmp_path / "<img src=x onerror=alert(1)>{{7}}${7}.png"
    Image.fromarray(picture(77)).save(hostile)
    before = counted(page)
    page.tab("Add images")
    page.upload("#files", *good, tmp_path / "kaputt-ü.jpg", hostile)
    page.until(lambda: "kaputt" in page.text("#files"))
    page.write("#label input", "frisch")
    page.press("Add")
    page.until(lambda: "3 added, 1 failed." in page.message())
    assert page.text(".table td").split(" ", 2)[:2] == ["kaputt-ü.jpg", "header"]
    page.until(lambda: counted(page) == before + 3)
    page.tab("Browse")
    page.write("#browse-name input", "onerror", enter=True)
    page.until(lambda: page.names() == [hostile.name])
    assert page.script("return document.querySelectorAll('img[src=x]').length") == 0
    page.all(".tiles button")[0].click()
    page.until(lambda: "frisch" in page.text(".facts dd"))
    page.press("Delete")
    page.until(lambda: "permanently?" in page.text(".detail-panel"))
    page.press("Keep it")
    page.until(lambda: "permanently?" not in page.text(".detail-panel"))
    page.press("Delete")
    page.press("Delete it")
    page.until(lambda: "No images match" in page.message())
    page.until(lambda: counted(page) == before + 2)


def test_images_get_values_of_fields_and_tags(page, tmp_path):
    page.click(".collections [data-name=felder]")
    page.until(lambda: page.message() == "This collection has no images yet.")
    page.press("Add images", "button:not([role=tab])")
    page.one(".field-form [data-field=bezahlt]")
    page.upload("#files", *write(tmp_path, 1, start=700))
    page.until(lambda: "bild" in page.text("#files"))
    page.write("[data-field=jahr]", "2024")
    page.write("[data-field=ort]", "Köln")
    page.script("document.querySelector('.field-form [data-field=bezahlt]').value = 'yes'")
    page.press("Text and tags")
    page.write("#tags textarea", "a lamp, a dog")
    page.press("Add")
    page.until(lambda: page.message() == "1 added.")
    page.tab("Search")
    page.click(".tiles button")
    page.until(lambda: "Köln" in page.text(".facts dl"))
    facts = page.text(".facts dl")
    assert "2024" in facts
    assert "True" in facts
    assert ("a lamp" in facts) != ("a dog" in facts)


def test_browse_is_narrowed_by_a_filter(page):
    page.tab("Browse")
    page.until(page.names)
    page.write("#browse-where input", "label = zebra_stripes or name startswith pizza", enter=True)
    page.until(lambda: "1 to 4 of 4 images" in page.message())
    assert min(page.names()) == "pizza_00.jpg"
    page.write("#browse-where input", "label =", enter=True)
    page.until(lambda: "filter" in page.message().lower())
    page.write("#browse-where input", " ", enter=True)
    page.until(lambda: "1 to 24 of" in page.message())


def test_folder_of_the_server_is_added_if_it_lies_inside_the_roots(page, drawn):
    page.tab("Add images")
    page.press("From a folder of the server")
    page.write("#folder input", "/etc")
    page.press("Add this folder")
    page.until(lambda: "permitted root" in page.message())
    page.write("#folder input", str(drawn / "test"))
    page.write("#into input", "zweite")
    page.press("Add this folder")
    page.until(lambda: "24 added." in page.message())


def test_sync_is_shown_before_it_is_carried_out(page, drawn):
    files = write(drawn / "mitlauf", 2, start=950)
    page.tab("Add images")
    page.press("From a folder of the server")
    page.write("#folder input", str(drawn / "mitlauf"))
    page.write("#into input", "mitlauf")
    page.press("Add this folder")
    page.until(lambda: "2 added." in page.message())
    files[0].unlink()
    assert page.script("return document.querySelector('#into input').value") == "mitlauf"
    page.click("#in-step input")
    page.press("Add this folder")
    page.until(lambda: "0 renamed, 1 deleted, 1 unchanged" in page.message())
    assert str(files[0]) in page.text(".table td")
    page.press("Carry out this sync")
    page.until(lambda: "1 already in the collection, 1 image deleted." in page.message())


def test_folder_is_added_without_excluded_files(page, drawn):
    write(drawn / "auswahl", 2, start=970)
    write(drawn / "auswahl/roh", 3, start=980)
    page.tab("Add images")
    page.press("From a folder of the server")
    page.write("#folder input", str(drawn / "auswahl"))
    page.write("#exclude textarea", "roh/")
    page.write("#into input", "auswahl")
    page.press("Add this folder")
    page.until(lambda: "2 added." in page.message())


def test_pages_follow_each_other_in_an_order(page):
    page.tab("Browse")
    page.until(page.names)
    total = counted(page)
    page.choose("Order", "by name")
    page.until(lambda: (seen := page.names()) and seen == sorted(seen))
    page.until(lambda: page.message() == f"1 to 24 of {total} images")
    start = page.names()
    page.press("Next")
    page.until(lambda: page.message() == f"25 to 48 of {total} images")
    following = page.names()
    assert [*start, *following] == sorted({*start, *following})
    page.press("Previous")
    page.until(lambda: page.names() == start)
    page.all(".tiles button")[0].click()
    page.press("More like this")
    page.until(lambda: f"nearest to {start[0]}" in page.message())
