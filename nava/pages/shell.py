"""What every page shares: templates, the style sheet, and a policy that lets a page load nothing but itself.

A page is one file. Its content security policy names the hashes of its own style sheet and script, so text that came
from outside (prompts, file names, captions) could not run or fetch anything even if it escaped the escaping.
"""

import base64
import hashlib
import re
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from nava.pages.formats import (
    format_bytes,
    format_fixed,
    format_number,
    format_seconds,
    format_share,
    format_value,
)

if TYPE_CHECKING:
    from jinja2 import Environment

STYLE_FILE = "style.css"
SCRIPT_FILE = "page.js"
_LINK_SCHEMES = frozenset({"http", "https"})
_SAFE_IN_PATH = "/#?=&%+,;@~()!'*-._"


def safe_href(target: str) -> str:
    """A link target that cannot run code: relative paths are percent-encoded, only http and https may be absolute.

    Anything else (`javascript:`, `data:`, a path with a scheme-like start) becomes the empty string.
    """
    target = target.strip()
    parts = urlsplit(target)
    if parts.scheme:
        return target if parts.scheme.lower() in _LINK_SCHEMES and parts.netloc else ""
    if target.startswith("//") or ":" in target.split("/", 1)[0]:
        return ""
    return quote(target, safe=_SAFE_IN_PATH)


def anchor(name: str) -> str:
    """An id for an element, from any text: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "item"


def _policy_hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def content_security_policy(style: str, script: str, on_server: bool = False) -> str:
    """The policy of a page with this inline style sheet and script: nothing else may load, run or be sent.

    A page that a server gives may also show its server's media and search there.
    """
    own, forms = (" 'self'", "'self'") if on_server else ("", "'none'")
    rules = ["default-src 'none'", "base-uri 'none'", f"form-action {forms}"]
    rules += [f"img-src data:{own}", f"media-src data:{own}"]
    rules.append(f"style-src {_policy_hash(style)}")
    if script:
        rules.append(f"script-src {_policy_hash(script)}")
    return "; ".join(rules)


@cache
def _environment() -> "Environment":
    # Imported here: gate verdicts are written by steps whose modules must stay light to import.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nava.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        anchor=anchor,
        bytes=format_bytes,
        fixed=format_fixed,
        href=safe_href,
        number=format_number,
        seconds=format_seconds,
        share=format_share,
        value=format_value,
    )
    return environment


def _asset(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def render(template: str, *, script: bool = False, on_server: bool = False, **context: Any) -> str:
    """Render a template of this package into one self-contained HTML page.

    Args:
        template: file name in `nava/pages/templates`.
        script: whether the page carries the interactive script (filters, read-outs, copy buttons).
        on_server: whether a server gives the page, whose media it may show; else it loads nothing but itself.
        context: what the template reads; every string is escaped.
    """
    style_text = _asset(STYLE_FILE)
    script_text = _asset(SCRIPT_FILE) if script else ""
    return (
        _environment()
        .get_template(template)
        .render(
            style=style_text,
            script=script_text,
            policy=content_security_policy(style_text, script_text, on_server),
            on_server=on_server,
            **context,
        )
    )
