"""What stands in the way of an output is found before the work, and looking leaves nothing behind."""

import os
from pathlib import Path

import pytest

from nava.console.output_paths import require_new, require_writable
from nava.runtime.errors import InputError


def test_new_paths_are_good_however_deep_and_nothing_is_made(tmp_path: Path) -> None:
    require_new(tmp_path / "a", tmp_path / "b" / "c" / "d")
    assert list(tmp_path.iterdir()) == []


def test_relative_paths_are_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    require_new(Path("a"), Path("b/a"))
    with pytest.raises(InputError, match="two outputs"):
        require_new(Path("a"), tmp_path / "a")


def test_what_exists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link", "."):
        with pytest.raises(InputError, match="exists already"):
            require_new(tmp_path / "new", tmp_path / name)


def test_two_names_of_one_path_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "folder")
    with pytest.raises(InputError, match="two outputs"):
        require_new(tmp_path / "folder" / "a", tmp_path / "other" / "a")


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a", tmp_path / "file" / "b" / "a"):
        with pytest.raises(InputError, match="file: Not a directory"):
            require_new(path)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="File name too long"):
        require_new(tmp_path / ("a" * 300))
    with pytest.raises(InputError, match="File name too long"):
        require_writable(tmp_path / ("a" * 300) / "b")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        require_writable(tmp_path / "a")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc here")
def test_a_file_system_that_takes_no_files_is_refused_whoever_asks() -> None:
    with pytest.raises(InputError, match="cannot be written: /proc: "):
        require_writable(Path("/proc/nava.safetensors"))
