"""Play the demo, and take the pictures of its page that the docs show: docs/images/dash-*.png.

python tools/screenshots.py
"""

from __future__ import annotations

import io
import shutil
import sys
import threading
from pathlib import Path
from typing import Literal

import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console

from delivery.dashboard.server import application, listen
from delivery.demo.performance import perform
from delivery.environment import Environment
from stacks.settings import ROOT

IMAGES = ROOT / "docs" / "images"
# By name: width, height, colour scheme, the part that is in the middle.
PICTURES: dict[str, tuple[int, int, Literal["light", "dark"], str]] = {
    "dash-light": (1280, 900, "light", "endpoint"),
    "dash-drift": (1280, 900, "dark", "drift"),
    "dash-phone": (390, 844, "light", "experiment"),
}
MOST_BYTES, COLOURS = 150_000, 128


def take(environment: Environment) -> None:
    """Serve the page, and take every picture of it."""
    listening = listen()
    server = uvicorn.Server(uvicorn.Config(application(environment), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        pictures(f"http://127.0.0.1:{listening.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join()


def pictures(url: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, (width, height, scheme, part) in PICTURES.items():
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            tab.goto(url)
            tab.locator("body[data-rounds]").wait_for()
            for plot in tab.locator("figure.plot:visible").all():
                plot.scroll_into_view_if_needed()
                plot.locator(".main-svg").first.wait_for()
            tab.locator(f"#{part}").scroll_into_view_if_needed()
            keep(tab.screenshot(), IMAGES / f"{name}.png")
        browser.close()


def keep(picture: bytes, place: Path) -> None:
    """Store it in a palette of its own colours: a page has few, and a third of the bytes is enough."""
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS).save(place, optimize=True)
    size = place.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{place.name} has {size:,} bytes, expected at most {MOST_BYTES:,}")


if __name__ == "__main__":
    perform(Path(ROOT), Console(file=sys.stderr), is_sealed=False, at_the_end=take)
