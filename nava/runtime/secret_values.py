"""Secrets that were written down where a reference belongs: found by the name they go under, or inside a URL."""

import re

# OMP_NUM_TOKENS-like names count things: only the singular names a secret.
_NAMES = re.compile(
    r"(^|[_.-])(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY)\b"
)
_KEY_ENDING = re.compile(r"[_-]KEY(_ID)?$")
_URL_PASSWORD = re.compile(r"[a-zA-Z][\w+.-]*://[^/\s:@]*:[^/\s@]+@")


def names_secret(name: str) -> bool:
    """Whether what goes under this name (a variable, an option) is a secret: AWS_SECRET_ACCESS_KEY, --api-token."""
    upper = name.lstrip("-").upper().replace("-", "_")
    return _NAMES.search(upper) is not None or _KEY_ENDING.search(upper) is not None


def holds_password(text: str) -> bool:
    """Whether a text holds a URL with a password in it: postgresql://user:password@host."""
    return _URL_PASSWORD.search(text) is not None
