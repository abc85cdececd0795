"""Images of the components: by digest where the lock file has one, so that what was compiled is what runs."""

import json
from pathlib import Path

LOCK_FILE = Path(__file__).parent / "images.lock.json"


def image(name: str) -> str:
    """The reference of an image: `registry/tag@digest`, or `registry/tag` until it has been built and pushed."""
    lock = json.loads(LOCK_FILE.read_text())
    entry = lock["images"][name]
    reference = f"{lock['registry']}/{entry['tag']}"
    return f"{reference}@{entry['digest']}" if entry["digest"] else reference


def images_without_digest() -> list[str]:
    """Names of the images that have no digest yet: a compile for production refuses them."""
    lock = json.loads(LOCK_FILE.read_text())
    return sorted(name for name, entry in lock["images"].items() if not entry["digest"])
