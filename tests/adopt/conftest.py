"""Copies of the projects in `projects/`, each in git and with an environment of its own."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.project import Project

PROJECTS = Path(__file__).parent / "projects"


@pytest.fixture
def adopted(project: Callable[..., Project]) -> Callable[..., Project]:
    """Makes a copy of one of the projects, as it would be after a clone and its README's installation.

    Nothing of mika is in it. `environment` is the folder of its packages; `poetry` is Poetry's cache.
    """

    def copy(name: str, environment: str = ".venv") -> Project:
        this = project("", name=name, backend="auto")
        empty(this.folder)
        shutil.copytree(PROJECTS / name, this.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        git(this, "init", "--quiet")
        if environment == ".venv":  # of projects that say nothing about it
            with (this.folder / ".git" / "info" / "exclude").open("a") as exclude:
                exclude.write(".venv/\n__pycache__/\n")
        git(this, "add", ".")
        git(this, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "theirs")
        if environment == "poetry":
            this.env["POETRY_CACHE_DIR"] = str(this.parent / "cache")
            make_environment(this.parent / "cache" / "virtualenvs" / name_of_poetry(this.folder))
        elif environment:
            make_environment(this.folder / environment)
        return this

    return copy


def empty(folder: Path) -> None:
    """Without what the kit writes for a project of mika."""
    for path in folder.iterdir():
        path.unlink()


def make_environment(folder: Path) -> None:
    """A virtual environment that has what the one of the tests has."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    paths = {"base": str(folder), "platbase": str(folder), "installed_base": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "nt" if os.name == "nt" else "posix_prefix", vars=paths))
    (packages / "tests.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")


def name_of_poetry(folder: Path) -> str:
    """What Poetry calls the environment of a project in this folder."""
    path = os.path.normcase(os.path.realpath(folder))
    digest = base64.urlsafe_b64encode(hashlib.sha256(os.fsencode(path)).digest()).decode()[:8]
    return f"{folder.name}-{digest}-py{sys.version_info.major}.{sys.version_info.minor}"


def git(this: Project, *args: str) -> str:
    command = ["git", "-C", str(this.folder), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
