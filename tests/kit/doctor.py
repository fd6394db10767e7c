"""The doctor, in the process of the test."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mika.config import load as config
from mika.config.load import Config
from mika.doctor import run
from mika.doctor.check import Check
from mika.project.folder import ProjectDir


def load(folder: Path, **environ: str) -> Config:
    return config.load(folder, environ=environ)


def examine(folder: Path, **environ: str) -> dict[str, Check]:
    """The checks of a folder, by their ids."""
    settings = load(folder, **environ)
    report = asyncio.run(run.examine(settings, ProjectDir(settings.project)))
    return {check.id: check for check in report.checks}
