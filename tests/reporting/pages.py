"""Reading a report as a browser does, and in a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

# Attributes by which an element loads something. A link of an `a` loads nothing until somebody clicks it.
LOADS = {"src", "srcset", "poster", "data", "background", "action", "formaction", "manifest", "ping", "xlink:href"}


class Reader(HTMLParser):
    """Elements with their attributes, the text, and the pages in frames."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def frames(self) -> list[Reader]:
        return [Reader(attributes["srcdoc"]) for tag, attributes in self.elements if tag == "iframe"]


def loads(reader: Reader) -> Iterator[str]:
    """Yield every address that the page, or one in it, loads by itself; data in the page is none."""
    for tag, attributes in reader.elements:
        for name, value in attributes.items():
            loading = name in LOADS or (name == "href" and tag not in ("a", "area"))
            if loading and not value.startswith(("data:", "#")) and value:
                yield f"<{tag} {name}={value[:60]}>"
        yield from re.findall(r"url\((?![\"']?data:)[^)]*\)|@import[^;]*", attributes.get("style", ""))
    styles = " ".join(word for word in reader.words if "{" in word)
    yield from re.findall(r"url\((?![\"']?(?:data:|#))[^)]*\)|@import\s[^;]*", styles)
    for frame in reader.frames:
        yield from loads(frame)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Written into the page: where the frames have drawn, how many colours each canvas has.
PROBE = """<script>addEventListener("load", () => setTimeout(() => {
  const colours = [...document.querySelectorAll("iframe")].flatMap((frame) =>
    [...frame.contentDocument.querySelectorAll("canvas")].filter((canvas) => canvas.offsetWidth).map((canvas) => {
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      return new Set(new Uint32Array(data.buffer)).size;
    }));
  document.body.dataset.colours = colours.join(" ");
}, 500));</script>"""


def browse(path: Path, folder: Path) -> tuple[list[int], list[str], str]:
    """Open a page; return the colours of each canvas, messages of the console, and the page afterwards."""
    probed = folder / "probed.html"
    probed.write_text(path.read_text(encoding="utf-8").replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=8000"]
    command = [str(BROWSER), *options, f"--user-data-dir={folder}/profile", "--dump-dom", probed.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-colours="([^"]*)"', done.stdout)
    assert found, "the page's own script did not run"
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return [int(number) for number in found.group(1).split()], console, done.stdout
