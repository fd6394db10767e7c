"""What mika reads in a compose file: roles by port, one-shots, addresses, mounted scripts."""

from __future__ import annotations

from typing import Any

import pytest
from mika.backends.docker import services
from mika.backends.docker.monitor import ContainerSnapshot
from mika.backends.docker.ownership import Ownership
from mika.config import load as config
from mika.errors import UsageError
from mika.project.folder import ProjectDir


def port(published: int, target: int, host: str = "127.0.0.1") -> dict[str, Any]:
    return {"host_ip": host, "published": str(published), "target": target, "protocol": "tcp"}


DOCUMENT: dict[str, Any] = {
    "name": "p",
    "services": {
        "documents": {
            "image": "mongo:8.0",
            "ports": [port(27018, 27017)],
            "environment": {"MONGO_INITDB_ROOT_USERNAME": "mi:ka", "MONGO_INITDB_ROOT_PASSWORD": "p@ss/word"},
        },
        "sql": {"image": "postgres:16", "ports": [port(5432, 5432)], "stop_grace_period": "1m30s"},
        "setup": {"image": "admin", "restart": "no", "depends_on": {"sql": {"condition": "service_started"}}},
        "server": {
            "image": "server",
            "ports": [port(7233, 7233)],
            "depends_on": {"setup": {"condition": "service_completed_successfully"}},
            "healthcheck": {"test": ["CMD", "true"]},
        },
        "web": {"image": "ui", "ports": [port(8088, 8080)], "healthcheck": {"test": ["NONE"]}},
        "built": {"build": {"context": "."}, "ports": [{"published": "", "target": 80, "protocol": "tcp"}]},
    },
}


@pytest.fixture
def file(tmp_path):
    return services.parse(DOCUMENT, config.load(tmp_path, environ={}))


def test_roles_come_from_ports_and_not_from_names(file):
    found = {service.name: service.role for service in file.services}
    assert found == {
        "documents": "mongodb",
        "sql": "postgresql",
        "setup": "",
        "server": "temporal",
        "web": "temporal-ui",
        "built": "",
    }


def test_details(file):
    by_name = {service.name: service for service in file.services}
    assert [name for name, service in by_name.items() if service.one_shot] == ["setup"]
    assert by_name["server"].needs == ("setup",)
    assert by_name["sql"].grace == 90
    assert by_name["server"].has_health_check
    assert not by_name["web"].has_health_check
    assert by_name["built"].is_built
    assert not by_name["built"].ports


@pytest.mark.parametrize("off", [{"scale": 0}, {"deploy": {"replicas": 0}}, None])
def test_a_service_that_is_switched_off_is_not_waited_for(tmp_path, off):
    """None: it is in a profile that is not active, so compose leaves it out; who can do without it stays."""
    given = DOCUMENT["services"] | {"user": {"image": "x", "depends_on": {"extra": {"required": False}, "sql": {}}}}
    given |= {"extra": {"image": "x", **off}} if off else {}
    found = services.parse(DOCUMENT | {"services": given}, config.load(tmp_path, environ={}))
    assert "extra" not in {service.name for service in found.services}
    assert next(service for service in found.services if service.name == "user").needs == ("sql",)


def test_the_address_for_the_bot_is_quoted(file):
    found = services.mongodb_url(file.with_role("mongodb"))
    assert found == "mongodb://mi%3Aka:p%40ss%2Fword@127.0.0.1:27018/"


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"TEMPORAL_PORT": "7234"}, "publishes Temporal on port 7233, but TEMPORAL_PORT is 7234"),
        ({"TEMPORAL_PORT": "7234", "drop": "server"}, "no service of the compose file publishes TEMPORAL_PORT (7234)"),
    ],
)
def test_a_file_without_our_temporal(tmp_path, env, words):
    document = {**DOCUMENT, "services": {k: v for k, v in DOCUMENT["services"].items() if k != env.get("drop")}}
    settings = config.load(tmp_path, environ=env)
    with pytest.raises(UsageError) as caught:
        services.check_temporal(services.parse(document, settings), settings)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_part_of_the_file(file):
    assert file.only({service.name for service in file.services}) is file
    assert not file.up_arguments
    part = file.only({"server", "setup", "sql"})
    assert part.up_arguments == ("sql", "setup", "server")
    alone = file.only({"server", "documents"})
    assert alone.up_arguments == ("--no-deps", "documents", "server"), "compose would start what it depends on"
    assert not alone.services[1].needs


class TestMounts:
    def file(self, tmp_path, source):
        mounted = {"image": "x", "volumes": [{"type": "bind", "source": str(source), "target": "/x"}]}
        document = {"services": {**DOCUMENT["services"], "mounted": mounted}}
        return services.parse(document, config.load(tmp_path, environ={}))

    def test_script_with_windows_line_ends(self, tmp_path):
        folder = tmp_path / "scripts"
        folder.mkdir()
        (folder / "start.sh").write_bytes(b"#!/bin/sh\r\nset -eu\r\n")
        with pytest.raises(UsageError, match=r"scripts.start\.sh: has Windows line endings \(CRLF\)") as caught:
            services.check_mounts(self.file(tmp_path, folder), tmp_path)
        assert "eol=lf" in caught.value.hint

    def test_missing_file(self, tmp_path):
        with pytest.raises(UsageError, match=r"mounted mounts .*dynamic\.yaml, which does not exist"):
            services.check_mounts(self.file(tmp_path, tmp_path / "dynamic.yaml"), tmp_path)

    def test_missing_folder_is_made_by_compose(self, tmp_path):
        services.check_mounts(self.file(tmp_path, tmp_path / "data"), tmp_path)


class TestOwnership:
    @pytest.fixture
    def folder(self, tmp_path):
        folder = ProjectDir(tmp_path)
        folder.create()
        return folder

    @staticmethod
    def container(name: str, state: str = "running") -> ContainerSnapshot:
        return ContainerSnapshot(id=name, name=name, service=name, folder="", state=state)

    def test_what_ran_before_is_foreign_and_what_starts_later_is_ours(self, folder):
        ownership = Ownership(folder)
        ownership.begin([self.container("a")], ["a", "b"])
        assert ownership.is_foreign(self.container("a"))
        assert not ownership.is_foreign(self.container("b"))

    def test_without_a_run_of_ours_all_is_foreign(self, folder):
        assert Ownership(folder).is_foreign(self.container("a"))

    def test_a_killed_run_still_owns_what_it_started(self, folder):
        first = Ownership(folder)
        first.begin([self.container("a")], ["a", "b"])
        first.save()
        again = Ownership(folder)
        again.begin([self.container("a"), self.container("b")], ["b"])
        assert again.is_foreign(self.container("a"))
        assert not again.is_foreign(self.container("b"))
        again.forget()
        assert Ownership(folder).is_foreign(self.container("b"))

    def test_containers_that_have_exited_are_taken_over(self, folder):
        ownership = Ownership(folder)
        ownership.begin([self.container("a", "exited")], ["a"])
        assert not ownership.is_foreign(self.container("a", "exited"))

    def test_services_that_mika_leaves_out_are_foreign_whenever_they_start(self, folder):
        ownership = Ownership(folder)
        ownership.begin([self.container("api")], ["a"])
        ownership.save()
        for known in (ownership, Ownership(folder)):
            assert known.is_foreign(self.container("worker"))
            assert not known.is_foreign(self.container("a"))

    def test_a_damaged_file_counts_as_missing(self, folder):
        (folder.run / "containers.json").write_text("[", encoding="utf-8")
        assert not Ownership(folder).has_record


@pytest.mark.parametrize("given", [None, [], "much", {"mongo:8.0": "300 MB", "ui": None}])
def test_download_sizes_that_are_no_numbers_count_as_unknown(tmp_path, given):
    assert services.parse(DOCUMENT | {"x-download-mb": given}, config.load(tmp_path, environ={})).downloads_mb == {}
