"""A real browser for tests of pages: Debian's Chromium, or the one that playwright installed."""

import shutil
from contextlib import contextmanager

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def browser():
    """Open a headless Chromium; the test is skipped only where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no browser can be started: apt-get install chromium ({str(error).splitlines()[0]})")
        try:
            yield opened
        finally:
            opened.close()


class Visit:
    """A page in the browser, with what it complained about and what it asked for.

    Args:
        opened: the browser.
        url: the address.
        width: of the window.
        dark: whether the system is dark.
    """

    def __init__(self, opened, url, *, width=1280, dark=False, ready="html[data-ready]"):
        scheme = "dark" if dark else "light"
        self.context = opened.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        self.context.set_default_timeout(600_000)  # RDKit alone took more than 20 s to load on a busy machine
        self.page = self.context.new_page()
        self.complaints, self.requests = [], []
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}") or dialog.dismiss())
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)
        self.page.wait_for_selector(ready)

    def scroll(self):
        """Look at the whole page, so that every chart is drawn."""
        for _ in range(2):  # what is drawn makes the page longer
            height = self.page.evaluate("document.documentElement.scrollHeight")
            for y in range(0, height, 700):
                self.page.evaluate(f"scrollTo({{top: {y}, behavior: 'instant'}})")
                self.page.wait_for_timeout(30)

    def shifts(self):
        """Look at the whole page, and return what moved under the reader's pointer meanwhile."""
        self.page.evaluate("""() => {
            window.shifts = [];
            const keep = (entries) => shifts.push(...entries.map((e) => e.sources.map((s) => s.node?.outerHTML)));
            window.watcher = new PerformanceObserver((list) => keep(list.getEntries()));
            watcher.observe({ type: "layout-shift" });
            window.keepLast = () => { keep(watcher.takeRecords()); return shifts; };
        }""")
        self.scroll()
        return self.page.evaluate("keepLast()")

    def violations(self):
        """Return what axe-core finds."""
        from importlib.resources import files

        script = (files("axe_playwright_python") / "axe.min.js").read_text()
        client = self.context.new_cdp_session(self.page)
        client.send("Runtime.evaluate", {"expression": script})  # past the page's policy
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [(v["id"], [node["html"][:200] for node in v["nodes"][:3]]) for v in found]

    def download(self, selector):
        """Press a button, and return the file that it saves."""
        with self.page.expect_download() as info:
            self.page.click(selector)
        return info.value.path().read_text(encoding="utf-8")

    def foreign(self):
        """Return the requests that left the page."""
        return [url for url in self.requests[1:] if not url.startswith(("data:", "blob:"))]
