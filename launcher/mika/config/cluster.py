"""An existing Temporal cluster: the settings that Temporal's own tools read, and their file of profiles.

What is here needs no SDK, so that `mika status` stays fast: where the cluster is. How to log in there, the SDK itself
reads when somebody connects (`readiness/access.py`). https://docs.temporal.io/references/client-environment-configuration
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mika.config.settings import BY_NAME, Setting, make_setting
from mika.config.sources import TomlTable, read_toml
from mika.errors import UsageError
from mika.text import did_you_mean
from mika.wording import _, listed

ADDRESS = "TEMPORAL_ADDRESS"
PROFILE, FILE = "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"
PATHS = (
    FILE,
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
    "TEMPORAL_TLS_CLIENT_CERT_PATH",
    "TEMPORAL_TLS_CLIENT_KEY_PATH",
)
LOGIN = (
    PROFILE,
    "TEMPORAL_API_KEY",
    "TEMPORAL_TLS",
    "TEMPORAL_TLS_SERVER_NAME",
    "TEMPORAL_TLS_SERVER_CA_CERT_DATA",
    "TEMPORAL_TLS_CLIENT_CERT_DATA",
    "TEMPORAL_TLS_CLIENT_KEY_DATA",
    *PATHS,
)
"""The settings that say how to log in. A server that mika starts needs none of them."""
HEADERS = "TEMPORAL_GRPC_META_"
"""What the variables begin with that become headers of each call."""
_DEFAULT = "default"


def address_settings(text: str, origin: str) -> dict[str, Setting]:
    """`host:port` as two settings; a host alone as one, since the other has a default."""
    host, separator, port = text.strip().rpartition(":")
    if not separator:
        host, port = port, ""
    values = {"TEMPORAL_HOST": host.removeprefix("[").removesuffix("]"), "TEMPORAL_PORT": port}
    values = {name: value for name, value in values.items() if separator or value}
    return {name: make_setting(BY_NAME[name], value, origin) for name, value in values.items()}


def given(name: str, raw: str, origin: str) -> dict[str, Setting]:
    """A setting as a variable gives it. TEMPORAL_HOST is two if it has a port, as in many projects."""
    if name == "TEMPORAL_HOST" and has_port(raw):
        both = address_settings(raw, origin)
        return {**both, name: replace(both[name], raw=raw)}
    return {name: make_setting(BY_NAME[name], raw, origin)}


def has_port(host: str) -> bool:
    """Whether it is `host:port`, and not a URL or an IPv6 address."""
    return host.count(":") == 1 and "/" not in host


def address_origin(settings: Mapping[str, Setting], extras: Mapping[str, Setting]) -> str:
    """The setting that says where the server is, and where that is set. `extras`: what else `.env` sets."""
    host, port = settings["TEMPORAL_HOST"], settings["TEMPORAL_PORT"]
    setting = port if host.origin == "default" else host
    name, origin = setting.name, setting.origin
    if origin == ADDRESS:
        name, own = ADDRESS, extras.get(ADDRESS)
        is_own = own is not None and address_settings(str(own.raw), ADDRESS).get(host.name) == host
        origin = own.origin if own is not None and is_own else _("environment")
    return f"{name} ({origin})"


def is_login(name: str) -> bool:
    return name in LOGIN or name.startswith(HEADERS)


def absolute(settings: Mapping[str, Setting], project: Path) -> dict[str, Setting]:
    """The settings that are paths, made absolute: a process may have another folder than the project's."""
    paths = [settings[name] for name in PATHS if settings[name].value not in (None, os.devnull)]
    return {path.name: replace(path, value=str(project / Path(str(path.value)).expanduser())) for path in paths}


def default_file(environ: Mapping[str, str]) -> Path | None:
    """Where the SDKs look for profiles if nobody names a file; None if there is none."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        named = Path(environ.get("XDG_CONFIG_HOME", ""))
        base = named if named.is_absolute() else home / ".config"
    file = base / "temporalio" / "temporal.toml"
    return file if file.is_file() else None


def profile_settings(settings: Mapping[str, Setting], environ: Mapping[str, str]) -> tuple[dict[str, Setting], bool]:
    """The address and the namespace of the profile, and whether somebody asked for it; empty without one.

    Raises UsageError for a file or a profile that somebody names and that is not there, and for a broken file.
    """
    profile, file = settings[PROFILE], settings[FILE]
    if file.value == os.devnull:  # in a process of a stack whose server is mika's own
        return {}, False
    is_wanted = profile.value is not None or file.value is not None
    path = Path(str(file.value)) if file.value is not None else default_file(environ)
    if path is None or not path.is_file():
        if not is_wanted:
            return {}, False
        raise UsageError(
            _("{where}: {setting} names {path}, which is not a file", where=file.origin, setting=FILE, path=path)
            if path
            else _("{where}: there is no file of profiles for {setting}", where=profile.origin, setting=PROFILE),
            _("set {setting} to the file with the profiles", setting=FILE),
        )
    name = str(profile.value or _DEFAULT)
    table = read_toml(path, ("profile",), label=str(path))
    if name not in table.values:
        if profile.value is None:
            return {}, False
        text = _(
            "{where}: {file} has no profile '{name}'{suggestion}",
            where=profile.origin,
            file=path,
            name=name,
            suggestion=did_you_mean(name, table.values),
        )
        known = listed(table.values) or _("(there are none)")
        raise UsageError(text, _("set {setting} to one of: {names}", setting=PROFILE, names=known))
    return _of_profile(table, name), is_wanted


def _of_profile(table: TomlTable, name: str) -> dict[str, Setting]:
    values = table.values[name]
    if not isinstance(values, dict):
        raise UsageError(
            _(
                "{where}: '{name}' must be a table; write [{table}]",
                where=table.where(name),
                name=name,
                table=f"profile.{name}",
            )
        )
    for key in ("address", "namespace"):
        if not isinstance(values.get(key, ""), str):
            raise UsageError(
                _("{where}: {key} must be a string; put it in quotes", where=table.where(name, key), key=key)
            )
    found = address_settings(values.get("address", ""), table.where(name, "address"))
    if namespace := values.get("namespace"):
        variable = BY_NAME["TEMPORAL_NAMESPACE"]
        found[variable.name] = make_setting(variable, namespace, table.where(name, "namespace"))
    return found
