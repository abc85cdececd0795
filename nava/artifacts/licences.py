"""Licences of published weights that a package refers to: found in its codecs' descriptions, worded for its card."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError

DESCRIPTION_FILE = "config.json"
# The fields by which a reference to a weight file is known in a description, whatever else it has.
_REFERENCE_FIELDS = {"file", "sha256", "repository", "licence"}
_SECTION = """
## Weights that this package refers to

The package does not contain these files. Whoever uses it obtains them, under their own licences:

| for | file | repository | licence | sha256 |
|---|---|---|---|---|
{rows}

{notes}
"""
_NOTES = {
    "Apache-2.0": "Apache-2.0: keep the licence and the notices when you pass the files on. "
    "Text: https://www.apache.org/licenses/LICENSE-2.0",
    "MIT": "MIT: keep the copyright notice when you pass the files on. Text: https://opensource.org/license/mit",
    "LTX-2 Community License": "LTX-2 Community License (Lightricks): not an open-source licence. It restricts what "
    "the weights and what is made with them may be used for, asks that generated content is disclosed as such, and "
    "requires a paid licence of commercial users from a yearly revenue of 10 million US dollars. Only its own text is "
    "binding; read it before use, in the repository of the weights or at https://github.com/Lightricks/LTX-2",
}


@dataclass(frozen=True)
class ReferencedFile:
    """A weight file that a codec or encoder needs and the package does not contain.

    Attributes:
        part: what needs it: "video", "audio", "text" or "timbre".
        file: its name as published.
        sha256: of its bytes.
        repository: owner and name on the hub.
        licence: SPDX id, or the name of the licence.
    """

    part: str
    file: str
    sha256: str
    repository: str
    licence: str


def referenced_files(codec: Path) -> list[ReferencedFile]:
    """The weight files that the descriptions in a codec folder refer to.

    Raises:
        InputError: a description is not JSON.
    """
    found = []
    for path in sorted(codec.glob(f"*/{DESCRIPTION_FILE}")):
        try:
            description = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is not JSON: {error}") from error
        for reference in _references(description):
            values = (str(reference[name]) for name in ("file", "sha256", "repository", "licence"))
            found.append(ReferencedFile(path.parent.name, *values))
    return found


def licence_section(codec: Path) -> str:
    """A section of the model card on the weights that are referred to; empty if there are none."""
    files = referenced_files(codec)
    if not files:
        return ""
    rows = [f"| {f.part} | {f.file} | {f.repository} | {f.licence} | `{f.sha256}` |" for f in files]
    licences = sorted({file.licence for file in files})
    notes = [
        f"- {_NOTES.get(licence, f'{licence}: read its text in the repository of the weights.')}"
        for licence in licences
    ]
    return _SECTION.format(rows="\n".join(rows), notes="\n".join(notes))


def _references(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.keys() >= _REFERENCE_FIELDS:
            yield value
            return
        value = [value[key] for key in sorted(value)]
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
