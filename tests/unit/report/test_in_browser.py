"""Pages in a real browser: they fetch nothing, the console stays empty, and something can be seen."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videomac.report.run import write_run_report

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """Headless Chromium that opens the pages of a folder through a server that notes every request."""

    def __init__(self, folder: Path, profile: Path) -> None:
        self.requests: list[str] = []
        seen = self.requests

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_request(self, *_: object) -> None:
                seen.append(self.path)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
        )
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._profile = profile
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def open(self, name: str, width: int = 1200) -> tuple[list[str], np.ndarray]:
        """Return the lines on the console and a screenshot (uint8 (H, W, 3))."""
        picture = self._profile / "seen.png"
        assert CHROMIUM
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
        logging = ("--enable-logging=stderr", "--log-level=0")
        places = (f"--user-data-dir={self._profile}", f"--screenshot={picture}", f"--window-size={width},2400")
        command = [CHROMIUM, *options, *logging, *places, f"{self.address}/{name}"]
        outcome = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
        console = [line for line in outcome.stderr.splitlines() if ":CONSOLE" in line]
        return console, np.asarray(Image.open(picture).convert("RGB"))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    (tmp_path / "pages").mkdir()
    browser = Browser(tmp_path / "pages", tmp_path / "profile")
    yield browser
    browser.server.shutdown()
    browser.server.server_close()


def test_a_run_page_is_complete_in_itself(browser: Browser, tmp_path: Path, make_run: Callable[[], Path]) -> None:
    shutil.copy(write_run_report(str(make_run())), tmp_path / "pages" / "report.html")
    for width in (1200, 500):
        browser.requests.clear()
        console, seen = browser.open("report.html", width)
        assert console == []
        assert browser.requests == ["/report.html"]
        assert len(np.unique(seen.reshape(-1, 3), axis=0)) > 200, "an empty page"


def test_a_page_that_fetches_something_is_noticed(
    browser: Browser, tmp_path: Path, make_run: Callable[[], Path]
) -> None:
    html = Path(write_run_report(str(make_run()))).read_text(encoding="utf-8")
    asking = html.replace("<main", '<img src="picture.png"><main')
    (tmp_path / "pages" / "blocked.html").write_text(asking, encoding="utf-8")
    console, _ = browser.open("blocked.html")
    assert "picture.png" in "".join(console), "the page's own policy blocks the request and says so"
    (tmp_path / "pages" / "free.html").write_text(asking.replace("img-src data:", "img-src *"), encoding="utf-8")
    browser.open("free.html")
    assert browser.requests == ["/blocked.html", "/free.html", "/picture.png"]
