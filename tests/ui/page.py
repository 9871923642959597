"""The page in a real browser: headless Chromium, and the actions of visitors."""

import json
from contextlib import contextmanager
from shutil import which

import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    StaleElementReferenceException,
    TimeoutException,
    WebDriverException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

_REDRAWN = "does not belong to the document"  # Chromium's other word for a stale element
SECONDS = 60  # limit of any action on a busy machine
SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # the sandbox needs user namespaces, which containers lack
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--use-fake-device-for-media-stream",  # a camera that shows a test picture
    "--use-fake-ui-for-media-stream",  # without a permission prompt
)


@contextmanager
def chromium():
    options = webdriver.ChromeOptions()
    options.binary_location = which("chromium")
    for switch in SWITCHES:
        options.add_argument(switch)
    options.accept_insecure_certs = True  # a test's proxy signs its own certificate
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    def __init__(self, driver, url):
        self.driver, self.url = driver, url

    def open(self, *, width=1280, height=900, dark=False):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get(self.url)
        self.until(lambda: "vectors" in self.text(".facts-line") and self.message())
        return self

    def until(self, holds):
        def attempt(_driver):
            try:
                return holds()
            except StaleElementReferenceException:
                return False
            except WebDriverException as error:
                if _REDRAWN not in str(error):
                    raise
                return False

        try:
            return WebDriverWait(self.driver, SECONDS, poll_frequency=0.1).until(attempt)
        except TimeoutException:
            pytest.fail(f"not so after {SECONDS} s; the page says: {self.text('body')}")

    def all(self, selector):
        elements = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return [element for element in elements if element.is_displayed()]

    def one(self, selector):
        return self.until(lambda: self.all(selector))[0]

    def click(self, selector):
        """Click the first visible element, again if the page is redrawn in between."""

        def click_first():
            for element in self.all(selector):
                element.click()
                return True
            return False

        self.until(click_first)

    def text(self, selector):
        return " ".join(element.text for element in self.all(selector))

    def script(self, code, *values):
        return self.driver.execute_script(code, *values)

    def write(self, selector, words, *, enter=False):
        field = self.one(selector)
        field.clear()
        field.send_keys(words + (Keys.ENTER if enter else ""))

    def search(self, words):
        """Search with words, and with the image in the bar."""
        self.write("#words textarea", words, enter=True)
        self.until(self.hits)

    def hits(self):
        """Return the texts of the tiles if they are hits of a search."""
        return self.names() if "nearest to" in self.message() else []

    def upload(self, selector, *files):
        field = self.driver.find_element(By.CSS_SELECTOR, f"{selector} input[type=file]")
        field.send_keys("\n".join(map(str, files)))

    def press(self, name, selector="button:not([role=tab], [tabindex='-1'])"):
        def named():
            elements = self.all(selector)
            # a selected option starts with a tick, an accordion ends with an arrow
            return [
                element for element in elements if name in map(str.strip, element.text.splitlines())
            ]

        self.until(named)[0].click()

    def choose(self, field, value):
        self.click(f"input[aria-label={field}]")
        self.press(value, "[role=option]")

    def tab(self, name):
        self.press(name, "button[role=tab]")

    def names(self):
        """Return the texts of the visible tiles."""
        return [tile.get_attribute("title") for tile in self.all(".tiles button")]

    def scores(self):
        return [float(score.text) for score in self.all(".tiles b")]

    def message(self):
        return self.text(".outcome .says, .outcome .bar")

    def width(self):
        """Return the width of the page in pixels."""
        return self.script("return document.documentElement.scrollWidth")

    def requests(self):
        """Return the URLs requested since the last call."""
        lines = [json.loads(line["message"]) for line in self.driver.get_log("performance")]
        return [
            line["message"]["params"]["request"]["url"]
            for line in lines
            if line["message"]["method"] == "Network.requestWillBeSent"
        ]
