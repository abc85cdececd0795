"""The git side of a corpus repository: which versions there are, and the small files that each was committed with.

Through dulwich: no subprocess, and nothing of the user's own git (name, hooks, signing) has an influence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dulwich import porcelain
from dulwich.object_store import tree_lookup_path
from dulwich.objects import ObjectID
from dulwich.refs import HEADREF, Ref
from dulwich.repo import Repo as GitRepo

from nava.runtime.storage import write_bytes

_TAGS = Ref(b"refs/tags")
_TAG = re.compile(r"v[1-9][0-9]*")


class VersionHistory:
    """Commits and tags `v1`, `v2`, ... of the repository in `folder`."""

    def __init__(self, folder: Path, author: str) -> None:
        self.folder = folder
        self.author = author.encode()

    def tags(self) -> dict[str, str]:
        """Every version's tag and commit, oldest first."""
        with GitRepo(str(self.folder)) as git:
            return ordered_tags({name.decode(): commit for name, commit in git.refs.as_dict(_TAGS).items()})

    def head(self) -> str | None:
        """The newest commit, tagged or not; None in a new repository."""
        with GitRepo(str(self.folder)) as git:
            _, head = git.refs.follow(HEADREF)
            return head.decode() if head else None

    def read(self, commit: str, name: str) -> bytes | None:
        """A file as it was committed; None if it was not there."""
        with GitRepo(str(self.folder)) as git:
            tree = git[ObjectID(commit.encode())].tree  # type: ignore[attr-defined]
            try:
                _, blob = tree_lookup_path(git.__getitem__, tree, name.encode())
            except KeyError:
                return None
            return bytes(git[blob].as_raw_string())

    def restore(self, commit: str | None, name: str) -> None:
        """Put a file back as it was committed, or remove it where the commit does not have it."""
        content = self.read(commit, name) if commit else None
        if content is None:
            (self.folder / name).unlink(missing_ok=True)
        else:
            write_bytes(self.folder / name, content)

    def commit(self, names: Sequence[str], message: str) -> str:
        """Commit those of the named files that exist; returns the commit."""
        with GitRepo(str(self.folder)) as git:
            porcelain.add(git, paths=[str(self.folder / name) for name in names if (self.folder / name).is_file()])
            commit = porcelain.commit(
                git, message=message.encode(), author=self.author, committer=self.author, sign=False
            )
            return commit.decode()

    def tag(self, tag: str, commit: str) -> None:
        """Name a commit; the last thing that happens to a version."""
        with GitRepo(str(self.folder)) as git:
            git.refs[Ref(b"refs/tags/" + tag.encode())] = ObjectID(commit.encode())

    def remove_stale_locks(self) -> None:
        """A process that was killed inside git leaves its lock; whoever calls this holds the repository's own lock."""
        root = self.folder / ".git"
        for stale in [*root.glob("*.lock"), *(root / "refs").rglob("*.lock")]:
            stale.unlink()


def ordered_tags(commits: dict[str, bytes]) -> dict[str, str]:
    """The tags that name versions, by number."""
    versions = [(tag, commit.decode()) for tag, commit in commits.items() if _TAG.fullmatch(tag)]
    return dict(sorted(versions, key=lambda item: int(item[0][1:])))


def remote_tags(url: str) -> dict[str, str]:
    """The versions that a git repository elsewhere has, oldest first, without cloning it."""
    prefix = _TAGS + b"/"
    refs = porcelain.ls_remote(url).refs.items()
    return ordered_tags({name[len(prefix) :].decode(): sha for name, sha in refs if sha and name.startswith(prefix)})
