import threading
from datetime import UTC, datetime
from http.client import HTTPConnection

import pytest

from al_loop.errors import ConfigError
from al_loop.ledger import Answer, Ledger
from al_loop.oracles.base import Outcome
from al_loop.report.server import Dashboard, open_server
from tests.support.browser import Visit, browser
from tests.support.molecule_run import fill


class Served:
    """A dashboard that listens on a free port."""

    def __init__(self, *paths):
        self.server = open_server(Dashboard([str(path) for path in paths]), port=0)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def ask(self, path="/", method="GET", host=None):
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, headers={"Host": host or f"127.0.0.1:{self.port}"})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response, text


def answer_all(folder):
    now = datetime.now(UTC)
    with Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
        for candidate in ledger.pending():
            ledger.begin_attempts([candidate.id], "ada")
            ledger.commit_answers([Answer(candidate.id, Outcome((-9.5,), cost=1.0), "ada", now, now)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(2):
        fill(folder / f"s{seed}", seed_of_run=seed, n_rounds=2, object_type="other", open_batch=False)
    return folder


@pytest.fixture(scope="module")
def served(runs):
    with Served(runs) as dashboard:
        yield dashboard


def test_a_folder_lists_its_runs(served, runs):
    response, text = served.ask()
    assert response.status == 200
    assert 'href="/run/0/"' in text
    assert 'href="/run/1/"' in text
    assert str(runs / "s1") in text


def test_a_run_has_its_report_and_a_version(served):
    _, page = served.ask("/run/0/")
    _, version = served.ask("/run/0/version")
    assert f'data-live="{version}"' in page
    assert "Recommendation" in page
    assert "connect-src &#39;self&#39;" in page


def test_runs_are_shown_side_by_side(served):
    assert "Comparison of 2 runs" in served.ask("/compare/")[1]


@pytest.mark.parametrize("path", ["/run/7/", "/run/x/", "/ledger.db", "/run/0/../../etc/passwd", "/%2e%2e/ledger.db"])
def test_nothing_else_is_served(served, path):
    assert served.ask(path)[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written(served, method):
    assert served.ask("/run/0/", method)[0].status == 501


def test_a_foreign_name_is_refused(served):
    assert served.ask("/run/0/", host="evil.example")[0].status == 403
    assert served.ask("/", host=f"localhost:{served.port}")[0].status == 200


def test_head_has_no_content(served):
    response, text = served.ask("/", "HEAD")
    assert response.status == 200
    assert text == ""
    assert response.getheader("Cache-Control") == "no-store"


def test_the_page_follows_the_ledger(tmp_path):
    folder = fill(tmp_path / "demo", n_rounds=2, object_type="other")
    with Served(folder) as dashboard:
        before = dashboard.ask("/run/0/version")[1]
        assert dashboard.ask("/run/0/version")[1] == before
        assert "-9.5" not in dashboard.ask("/run/0/")[1]
        answer_all(folder)
        assert dashboard.ask("/run/0/version")[1] != before
        assert "<strong>-9.5</strong>" in dashboard.ask("/run/0/")[1]


def test_a_run_that_disappears_is_a_line_of_the_list(tmp_path):
    with Served(tmp_path / "gone") as dashboard:
        assert "there is no such run" in dashboard.ask()[1]
        assert dashboard.ask("/run/0/")[0].status == 503


def test_a_port_in_use_is_reported(served):
    with pytest.raises(ConfigError, match="choose another --port"):
        open_server(Dashboard([]), port=served.port)


@pytest.mark.slow
def test_a_browser_takes_over_news_and_keeps_filters(tmp_path):
    folder = fill(tmp_path / "demo", n_rounds=2)
    with Served(folder) as dashboard, browser() as chromium:
        visit = Visit(chromium, f"http://127.0.0.1:{dashboard.port}/run/0/")
        visit.page.fill("#f-text", "cc")
        answer_all(folder)
        visit.page.locator("#best strong", has_text="-9.5").first.wait_for()
        assert visit.page.input_value("#f-text") == "cc"
        visit.scroll()
        assert visit.violations() == []
        assert visit.complaints == []
        assert all(url.startswith(f"http://127.0.0.1:{dashboard.port}/run/0/") for url in visit.requests
                   if not url.startswith(("data:", "blob:")))  # fmt: skip
        listed = Visit(chromium, f"http://127.0.0.1:{dashboard.port}/", ready="main")
        assert listed.violations() == []
        assert listed.complaints == []
