"""The git side of a corpus repository: which versions there are, and the small files that each was committed with.

Through dulwich: no subprocess, and nothing of the user's own git (name, hooks, signing) has an influence.

Several machines may publish through one git repository elsewhere. Each fetches it first and pushes its commit and its
tag in one atomic step, which the other side refuses if somebody else was faster; the loser begins again from there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from dulwich import porcelain
from dulwich.object_store import tree_lookup_path
from dulwich.objects import ObjectID
from dulwich.refs import HEADREF, Ref
from dulwich.repo import Repo as GitRepo

from nava.runtime.errors import InputError
from nava.runtime.storage import write_bytes

_TAGS = Ref(b"refs/tags")
BRANCH = "main"
_BRANCH = Ref(b"refs/heads/" + BRANCH.encode())
_TAG = re.compile(r"v[1-9][0-9]*")


class VersionHistory:
    """Commits and tags `v1`, `v2`, ... of the repository in `folder`."""

    def __init__(self, folder: Path, author: str) -> None:
        self.folder = folder
        self.author = author.encode()

    def initialize(self) -> None:
        """Make the folder, which exists, a git repository without a commit."""
        GitRepo.init(str(self.folder), default_branch=BRANCH.encode()).close()

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

    def follow(self, url: str) -> None:
        """Take over the commits and tags of the shared repository; commits that never reached it are given up.

        Raises:
            InputError: it cannot be reached, or this repository has versions that it has not.
        """
        from dulwich.errors import GitProtocolError, NotGitRepository

        with GitRepo(str(self.folder)) as git:
            try:
                fetched = porcelain.fetch(
                    git, url, outstream=io.StringIO(), errstream=io.BytesIO(), include_tags=True, quiet=True
                )
            except (GitProtocolError, NotGitRepository, OSError) as error:
                raise InputError(
                    f"the git repository {url} cannot be reached: {error}. Check corpus.git_url."
                ) from error
            shared = {name: sha for name, sha in fetched.refs.items() if sha}
            tags = {name: sha for name, sha in shared.items() if name.startswith(_TAGS + b"/")}
            ours = {Ref(_TAGS + b"/" + name): sha for name, sha in git.refs.as_dict(_TAGS).items()}
            head = shared.get(_BRANCH)
            if head is None:
                return  # it is new: what is here is pushed to it
            if any(tags.get(name) != sha for name, sha in ours.items()):
                raise InputError(
                    f"{self.folder} has corpus versions that {url} has not; publish with another folder, or with the "
                    "git repository that these versions are in"
                )
            for name, sha in tags.items():
                git.refs[Ref(name)] = sha
            git.refs[_BRANCH] = head
            porcelain.reset(git, "hard", head)

    def share(self, url: str, tag: str = "") -> bool:
        """Push the newest commit, and a tag that names it; False if somebody else pushed first.

        Raises:
            InputError: the shared repository cannot be written.
        """
        from dulwich.errors import GitProtocolError, NotGitRepository

        with GitRepo(str(self.folder)) as git:
            ours = [Ref(_TAGS + b"/" + name) for name in git.refs.as_dict(_TAGS)]
            pairs = [(_BRANCH, _BRANCH), *((name, name) for name in ours)]
            if tag:
                pairs.append((_BRANCH, Ref(_TAGS + b"/" + tag.encode())))
            try:
                result = porcelain.push(
                    git,
                    url,
                    [source + b":" + target for source, target in pairs],
                    outstream=io.BytesIO(),
                    errstream=io.BytesIO(),
                    atomic=True,
                )
            except porcelain.DivergedBranches:
                return False
            except (porcelain.Error, GitProtocolError, NotGitRepository, OSError) as error:
                raise InputError(
                    f"the git repository {url} cannot be written: {error}. Check corpus.git_url."
                ) from error
            return not any((result.ref_status or {}).values())

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
