"""Every object below a prefix of a bucket, with the reason for what is neither media nor a transcript."""

from nava.artifacts.source_manifest import IgnoredFile, IgnoreReason, stays_inside
from nava.artifacts.store_faults import store_errors
from nava.data.media_root import BucketRoot, file_state
from nava.data.sources.candidates import MediaScan, sort_names
from nava.runtime.errors import InputError


def scan_bucket(root: BucketRoot) -> MediaScan:
    """List a prefix and sort every object by kind; sizes and etags come with the listing, nothing is read.

    Raises:
        InputError: the store cannot be asked, or nothing lies there.
    """
    with store_errors(root.address):
        filesystem, base = root.filesystem()
        objects = filesystem.find(base, detail=True)
    prefix = f"{base}/"
    names, ignored, states = [], [], {}
    for key in sorted(objects):
        name = str(key).removeprefix(prefix)
        if objects[key].get("type") != "file" or not str(key).startswith(prefix) or name.endswith("/"):
            continue  # the marker of a folder, or the prefix itself: no entry
        reason = _reason_to_ignore(name)
        if reason is None:
            names.append(name)
            states[name] = file_state(objects[key])
        else:
            ignored.append(IgnoredFile(name, reason))
    if not names and not ignored:
        raise InputError(f"nothing lies below {root.address}; check the address and the permissions")
    return sort_names(names, ignored, states)


def _reason_to_ignore(name: str) -> IgnoreReason | None:
    if not stays_inside(name):
        return IgnoreReason.PATH_OUTSIDE
    hidden = any(part.startswith(".") for part in name.split("/"))
    return IgnoreReason.HIDDEN if hidden else None
