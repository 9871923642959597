"""The sign-in form of a service's page, filled in and submitted in a real browser."""

import pytest

from tests.service.running import running
from tests.service.topologies import plain
from tests.services.tls_proxy import certificate, tls_proxy
from tests.ui.page import Page

# Gradio 6.31 leaves an event loop's sockets open when its queue is built
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Form(Page):
    """The sign-in form and the page behind it."""

    def __init__(self, driver, url):
        super().__init__(driver, url)
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})

    def sign_in(self, key):
        self.write("#key", key)
        self.press("Sign in", "button")

    def is_open(self):
        return "is empty" in self.text(".facts-line") or "vectors" in self.text(".facts-line")

    def cookies(self):
        return {cookie["name"]: cookie for cookie in self.driver.get_cookies()}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    pytest.importorskip("gradio", reason="gradio is not installed: pip install '.[ui]'")
    folder = tmp_path_factory.mktemp("signing-in")
    places, proxies = plain(folder / "places"), ("127.0.0.1",)
    with running(places, folder / "data", page=True, proxies=proxies) as service:
        yield service


@pytest.fixture(scope="module", params=["http", "https", "https, with the upstream as Host"])
def url(request, service, tmp_path_factory):
    """Return the page's URL: at the service, and at a TLS proxy before it."""
    if request.param == "http":
        yield service.url
        return
    pem, keep_host = certificate(tmp_path_factory.mktemp("proxy")), request.param == "https"
    with tls_proxy(service.http.base_url.port, pem, keep_host=keep_host) as url:
        yield url


def test_visitor_signs_in_and_out_in_a_browser(browser, service, url):
    form = Form(browser, url)
    browser.get(url)
    form.sign_in("img_wrong")
    form.until(lambda: "the key is unknown" in form.text("[role=alert]"))
    form.sign_in(service.secrets["read"])
    form.until(form.is_open)
    assert browser.current_url == f"{url}/"
    ((name, cookie),) = form.cookies().items()
    secure = url.startswith("https:")
    assert (name, cookie["secure"]) == ("__Host-" * secure + "imgsearch_key", secure)
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    form.click(".sign-out a")
    form.until(lambda: form.all("#key"))
    assert form.cookies() == {}
    browser.get(url)
    assert form.one("#key")


def test_link_into_the_page_is_followed_after_the_sign_in(browser, service, url):
    form = Form(browser, url)
    browser.get(f"{url}/?__theme=dark&größe=1%262")
    form.sign_in("img_wrong")
    form.until(lambda: form.text("[role=alert]"))
    form.sign_in(service.secrets["read"])
    form.until(form.is_open)
    assert browser.current_url == f"{url}/?__theme=dark&gr%C3%B6%C3%9Fe=1%262"
    browser.get("about:blank")  # ends the page's stream, because the shutdown waits for it
