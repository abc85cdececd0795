"""Every case of a golden set through the code that makes its numbers here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from nava.evaluation.parity.comparison import CaseResult, Verdict, compare
from nava.evaluation.parity.families import Family, family_of
from nava.evaluation.parity.golden_set import Case, DamagedFileError, GoldenSet, check_hash, read_tensors
from nava.runtime.errors import InputError


def run_set(folder: Path, names: Sequence[str] = ()) -> Iterator[CaseResult]:
    """The results of a set's cases, one by one as they are computed.

    A case that crashes, is absent, damaged, or of a kind that nothing here computes has a result that says so: nothing
    that the manifest lists is passed over.

    Args:
        folder: holds `manifest.json` and the files it lists.
        names: run these cases only; shell patterns such as `j*` are allowed.

    Raises:
        InputError: there is no such folder or manifest, or no such case.
    """
    goldens = GoldenSet(folder)
    chosen = _choose(goldens, names)
    return _results(goldens, chosen, whole=not names)


def _results(goldens: GoldenSet, chosen: Sequence[Case], *, whole: bool) -> Iterator[CaseResult]:
    for case in chosen:
        yield run_case(case, goldens)
    if whole:
        yield from _weights_without_case(goldens)


def run_case(case: Case, goldens: GoldenSet) -> CaseResult:
    """Compute one case and compare every tensor of its file that is not an input."""
    if not case.path.is_file():
        return CaseResult(case.name, "", Verdict.MISSING, reason=f"{case.path.name} is not in the folder")
    family = None
    try:
        check_hash(case.path, case.sha256)
        family = family_of(case)
        if family is None:
            return CaseResult(case.name, "", Verdict.NOT_RUN, reason="no kind of case here has such tensors")
        return _compared(case, family, goldens)
    except Exception as error:  # whatever stops a case is that case's verdict, and the others still run
        reason = str(error) if isinstance(error, DamagedFileError | InputError) else f"{type(error).__name__}: {error}"
        name = family.name if family else ""
        return CaseResult(case.name, name, Verdict.FAILED, reason=" ".join(reason.split()))


def _compared(case: Case, family: Family, goldens: GoldenSet) -> CaseResult:
    errors = [compare(pair) for pair in family.compute(case, goldens)]
    compared = {error.name for error in errors}
    left = [name for name in case.tensors if not name.startswith(family.inputs) and name not in compared]
    if left:
        reason = f"not compared: {', '.join(left[:3])}" + (f" and {len(left) - 3} more" if len(left) > 3 else "")
        return CaseResult(case.name, family.name, Verdict.NOT_RUN, errors, reason)
    if not errors:
        reason = "nothing to compare: the file holds inputs only"
        return CaseResult(case.name, family.name, Verdict.NOT_RUN, reason=reason)
    wrong = [error for error in errors if not error.within]
    if wrong:
        worst = max(wrong, key=lambda error: error.share)
        reason = f"{len(wrong)} of {len(errors)} tensors differ, {worst.name} most"
        return CaseResult(case.name, family.name, Verdict.FAILED, errors, reason)
    return CaseResult(case.name, family.name, Verdict.PASSED, errors)


def _choose(goldens: GoldenSet, names: Sequence[str]) -> list[Case]:
    cases = goldens.cases
    if not cases:
        raise InputError(f"the manifest in {goldens.folder} lists no cases")
    for name in names:
        if not any(_matches(case, name) for case in cases):
            raise InputError(f"no case {name!r} in {goldens.folder}; there are {', '.join(c.name for c in cases)}")
    return [case for case in cases if not names or any(_matches(case, name) for name in names)]


def _matches(case: Case, name: str) -> bool:
    return fnmatchcase(case.name, name.removesuffix(".safetensors"))


def _weights_without_case(goldens: GoldenSet) -> Iterator[CaseResult]:
    """A weight file that no case used is not run either, and one that is absent or damaged is not passed over."""
    used = {goldens.weights_of(case.name) for case in goldens.cases}
    for file in goldens.weight_files:
        path = goldens.folder / file
        if not path.is_file():
            yield CaseResult(file, "weights", Verdict.MISSING, reason=f"{file} is not in the folder")
        elif file not in used:
            yield CaseResult(file, "weights", Verdict.NOT_RUN, reason="no case of the manifest runs on these weights")
        else:
            try:
                check_hash(path, goldens.files[file].get("sha256"))
                read_tensors(path)
            except DamagedFileError as error:
                yield CaseResult(file, "weights", Verdict.FAILED, reason=str(error))
