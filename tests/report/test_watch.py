import http.client
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.report.conftest import Parts, save
from tests.report.surfaces import add_surface, fit

from mixwise.errors import ResourceError, StudyError
from mixwise.report.watch import PageServer, results_version

MakeStudy = Callable[..., Path]
DOMAINS = ("math", "code", "web")


@pytest.fixture
def server(make_study: MakeStudy) -> Iterator[PageServer]:
    folder = make_study(stages=("search",))
    add_surface(folder, Parts(DOMAINS, "lattice"), fit(DOMAINS)[1])
    said = ["Stage: search"]
    with PageServer(folder, lambda: said) as started:
        started.said = said  # type: ignore[attr-defined]
        thread = threading.Thread(target=started.serve_forever)
        thread.start()
        yield started
        started.shutdown()
        thread.join()


def ask(
    server: PageServer, path: str = "/", method: str = "GET", **headers: str
) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content, dict(answer.getheaders())


def test_it_listens_on_the_loopback_address_alone(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/"


def test_the_page_and_its_state_are_all_there_is(server: PageServer) -> None:
    status, page, headers = ask(server)
    assert status == 200
    assert "connect-src 'self'" in page
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    status, state, _ = ask(server, "/state.json")
    assert json.loads(state) == {
        "version": results_version(server.folder),
        "lines": ["Stage: search"],
    }
    for path in ("/recipe.yaml", "/../recipe.yaml", "/ledger.sqlite", "/?"):
        assert ask(server, path)[0] == 404


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1:9", "[::1]:80", "[::1]"])
def test_names_of_this_machine_are_answered(server: PageServer, host: str) -> None:
    assert ask(server, Host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "0.0.0.0", "10.0.0.1:80"]
)
def test_any_other_name_is_refused(server: PageServer, host: str) -> None:
    status, text, _ = ask(server, Host=host)
    assert status == 403
    assert text == f"this page is for this machine alone: open {server.address}\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(server: PageServer, method: str) -> None:
    before = {path.name: path.read_bytes() for path in server.folder.iterdir()}
    assert ask(server, method=method)[0] == 501
    assert {path.name: path.read_bytes() for path in server.folder.iterdir()} == before


def test_head_has_no_body(server: PageServer) -> None:
    status, text, headers = ask(server, method="HEAD")
    assert (status, text) == (200, "")
    assert int(headers["Content-Length"]) > 1000


def test_a_damaged_result_is_said_on_the_page(server: PageServer) -> None:
    (server.folder / "search.json").write_text('{"method": 1}')
    assert "search.json" in ask(server)[1]


def test_a_status_that_cannot_be_read_is_said(make_study: MakeStudy) -> None:
    def fail() -> list[str]:
        raise StudyError("no recipe is there")

    with PageServer(make_study(stages=()), fail) as server:
        assert json.loads(server.state())["lines"] == ["no recipe is there"]


def test_a_port_that_is_taken_is_refused(server: PageServer) -> None:
    with pytest.raises(ResourceError, match=r"`--port` \d+: cannot be served on"):
        PageServer(server.folder, list, server.server_port)


def test_the_page_follows_the_study_and_keeps_the_readers_mixture(
    browser: Browser, server: PageServer
) -> None:
    page = browser.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.goto(server.address)
    expect(page.locator("#live")).to_have_text("Stage: search")
    server.said[:] = ["Stage: calibration"]  # type: ignore[attr-defined]
    expect(page.locator("#live")).to_have_text("Stage: calibration")
    page.locator("#share-0").evaluate(
        "slider => { slider.value = 0.75; slider.dispatchEvent(new Event('input')); }"
    )
    expect(page.locator("#slider-0 output")).to_have_text("75 %")
    assert page.locator("h1").text_content() == "Train on 50 % math, 33 % code and 17 % web."
    made = Parts(DOMAINS, "lattice").final()
    save(server.folder, made)
    expect(page.locator(".outcome").first).to_contain_text("Won: trained for real")
    expect(page.locator("#slider-0 output")).to_have_text("75 %")
    page.close()
    assert [text for text in troubles if "favicon" not in text and "404" not in text] == []
