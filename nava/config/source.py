"""Where the media come from."""

from dataclasses import dataclass


@dataclass
class SourceConfig:
    """The user's media, or the generated corpus.

    Attributes:
        uri: folder with media files (video or audio-only, any depth, `<stem>.vtt` transcripts beside them); empty for
            the seeded synthetic corpus.
        licence: licence of the media, carried into every manifest (SPDX name where there is one).
        origin: where the media come from, carried into every manifest.
    """

    uri: str = ""
    licence: str = ""
    origin: str = ""
