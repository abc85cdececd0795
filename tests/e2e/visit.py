"""A page opened in headless Chromium, with what it complained about and asked for."""

from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 375, "height": 812}


class Visit:
    """A page opened, a file or an address, with what the browser complained about and asked for."""

    def __init__(self, browser: Any, path: Path | str, **context: Any) -> None:
        self.context = browser.new_context(**({"viewport": DESKTOP} | context))
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.refused: list[str] = []
        self.page.on("requestfailed", lambda request: self.refused.append(f"{request.failure} {request.url[:100]}"))
        self.page.on("request", lambda request: self.requests.append(request.url[:100]))
        self.page.goto(path.as_uri() if isinstance(path, Path) else path, wait_until="load")

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()


def play(page: Any, index: int) -> dict[str, Any]:
    """Play a clip muted until sound has been decoded, and report."""
    state: dict[str, Any] = page.evaluate(
        """async (index) => {
             const video = document.querySelectorAll("video")[index];
             video.muted = true;
             await video.play();
             for (let wait = 0; wait < 250 && !video.webkitAudioDecodedByteCount && !video.error; wait += 1)
               await new Promise((done) => setTimeout(done, 20));
             const state = { ready: video.readyState, width: video.videoWidth, height: video.videoHeight,
                             sound: video.webkitAudioDecodedByteCount, error: video.error?.message ?? "" };
             video.pause();
             return state;
           }""",
        index,
    )
    return state
