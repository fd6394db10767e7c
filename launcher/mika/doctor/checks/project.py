"""Checks of the project and of the disk that it is on: nothing here needs a running stack."""

from __future__ import annotations

import shutil

from mika.detect import written
from mika.doctor.check import Check, fail, ok, warn
from mika.doctor.examination import Examination
from mika.errors import UsageError
from mika.procfile import entries as procfile
from mika.wording import _

_DISK_FAIL, _DISK_WARN = 200e6, 1e9


async def config(exam: Examination) -> Check:
    """The Procfile; the settings have been read already, or nothing could be checked."""
    settings, project = exam.config.settings, exam.config.project
    if exam.found is not None:
        if found := written.in_words(exam.found):
            text = _("no Procfile in {folder}, but {found}", folder=project, found=found)
            return warn("config", text, written.next_step(exam.found))
        fix = _("write a Procfile with a line for each process, or give the project's folder: `mika -C DIR doctor`")
        text = _("no Procfile in {folder}, and no web app or worker was found", folder=project)
        return warn("config", text, fix)
    has_procfile = (project / "Procfile").exists()
    try:
        if has_procfile:
            procfile.read(project / "Procfile")
    except UsageError as error:
        return fail("config", error.message, error.hint or _("fix that line of the Procfile"))
    if settings["LLM_BASE_URL"].value and not settings["LLM_MODEL"].value:
        return warn(
            "config",
            _("LLM_BASE_URL is set, and LLM_MODEL is not"),
            _("set LLM_MODEL to a model that the server has"),
        )
    own = sum(setting.origin != "default" for setting in settings.values())
    text = (
        _("1 setting of your own, the rest are defaults (`mika config`)")
        if own == 1
        else _("{count} settings of your own, the rest are defaults (`mika config`)", count=own)
    )
    return ok("config", text if has_procfile else _("no Procfile: what `mika up` found runs; {text}", text=text))


async def disk(exam: Examination) -> Check:
    folder = exam.folder.root if exam.folder.root.is_dir() else exam.config.project
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        text = _("{folder} cannot be read: {error}", folder=folder, error=error.strerror or error)
        return fail("disk", text, _("check the folder"))
    text = _("{size:.1f} GB free for {folder}", size=free / 1e9, folder=folder)
    fix = _("free some space on that disk")
    if free < _DISK_FAIL:
        return fail("disk", text, fix)
    return warn("disk", text, fix) if free < _DISK_WARN else ok("disk", text)
