"""What a release says of itself: one version everywhere, and notes out of the CHANGELOG."""

import subprocess
import sys
from pathlib import Path

import pytest

import vestnik
from tools import release

ROOT = Path(__file__).parents[1]


def test_every_place_names_the_same_version():
    assert release.versions() == {place: {vestnik.__version__} for place in release.PLACES}


def test_the_notes_are_the_section_of_the_changelog(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "ROOT", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.3] - 2030-01-31\n\n### Added\n\n- this\n\n"
        "## [1.2.2]\n\n- that\n"
    )
    assert release.notes("1.2.3") == "### Added\n\n- this"
    assert release.notes("1.2.2") == "- that"
    assert release.notes("1.2.4") == ""


def test_a_tag_of_another_version_is_refused_place_by_place():
    said = subprocess.run(
        [sys.executable, "-m", "tools.release", "check", "v99.0.0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    for place in release.PLACES:
        assert f"{place} says {vestnik.__version__}." in said.stderr
    assert "CHANGELOG.md has no section [99.0.0]." in said.stderr


@pytest.mark.parametrize("arguments", [[], ["check"], ["check", "0.2.0"], ["publish", "v0.2.0"]])
def test_anything_else_is_bad_usage(arguments):
    said = subprocess.run(
        [sys.executable, "-m", "tools.release", *arguments], cwd=ROOT, capture_output=True, check=False
    )
    assert (said.returncode, b"usage" in said.stderr) == (2, True)
