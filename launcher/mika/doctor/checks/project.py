"""Checks of the project and of the disk that it is on: nothing here needs a running stack."""

from __future__ import annotations

import shutil

from mika.detect import written
from mika.doctor.check import Check, fail, ok, warn
from mika.doctor.examination import Examination
from mika.errors import UsageError
from mika.procfile import entries as procfile

_DISK_FAIL, _DISK_WARN = 200e6, 1e9


async def config(exam: Examination) -> Check:
    """The Procfile; the settings have been read already, or nothing could be checked."""
    settings, project = exam.config.settings, exam.config.project
    if exam.found is not None:
        if found := written.in_words(exam.found):
            fix = "`mika up` starts that, and `mika init` writes it to a Procfile"
            return warn("config", f"no Procfile in {project}, but {found}", fix)
        fix = "write a Procfile with a line for each process, or give the project's folder: `mika -C DIR doctor`"
        return warn("config", f"no Procfile in {project}, and no web app or worker was found", fix)
    has_procfile = (project / "Procfile").exists()
    try:
        if has_procfile:
            procfile.read(project / "Procfile")
    except UsageError as error:
        return fail("config", error.message, error.hint or "fix that line of the Procfile")
    if settings["LLM_BASE_URL"].value and not settings["LLM_MODEL"].value:
        return warn(
            "config", "LLM_BASE_URL is set, and LLM_MODEL is not", "set LLM_MODEL to a model that the server has"
        )
    own = sum(setting.origin != "default" for setting in settings.values())
    text = f"{own} settings of your own, the rest are defaults (`mika config`)"
    return ok("config", text if has_procfile else f"no Procfile: what `mika up` found runs; {text}")


async def disk(exam: Examination) -> Check:
    folder = exam.folder.root if exam.folder.root.is_dir() else exam.config.project
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return fail("disk", f"{folder} cannot be read: {error.strerror or error}", "check the folder")
    text = f"{free / 1e9:.1f} GB free for {folder}"
    fix = "free some space: `mika down --volumes` deletes the data of this project"
    if free < _DISK_FAIL:
        return fail("disk", text, fix)
    return warn("disk", text, fix) if free < _DISK_WARN else ok("disk", text)
