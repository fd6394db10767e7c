"""Do the addresses in the project's variables fit what the compose file gives its databases? No password is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from mika import address
from mika.backends.docker.services import Port, Service
from mika.frozen import frozen
from mika.reason import NONE, Reason
from mika.wording import _

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9]*)(?:\+\w+)?://(?:(?P<user>[^:@/\s]*)(?::(?P<password>[^/\s]*))?@)?"
    r"(?P<host>\[[^\]]*\]|[^:/?,\s]+)(?::(?P<port>\d+))?[^/?\s]*(?:/(?P<database>[^?\s]*))?(?:\?(?P<query>\S*))?"
)


@frozen
class _Family:
    """`users` and `passwords` are the variables by which an image is told them, in order. `default`: the user's name.

    `trust`: with this variable, the password does not count.
    """

    schemes: tuple[str, ...]
    port: int
    users: tuple[str, ...]
    passwords: tuple[str, ...]
    default: str = ""
    trust: str = ""


_FAMILIES = (
    _Family(
        ("mongodb",),
        27017,
        ("MONGO_INITDB_ROOT_USERNAME", "MONGODB_ROOT_USER"),
        ("MONGO_INITDB_ROOT_PASSWORD", "MONGODB_ROOT_PASSWORD"),
    ),
    _Family(
        ("postgres", "postgresql"),
        5432,
        ("POSTGRES_USER", "POSTGRESQL_USERNAME"),
        ("POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD"),
        "postgres",
        "POSTGRES_HOST_AUTH_METHOD",
    ),
    _Family(("mysql", "mariadb"), 3306, ("MYSQL_USER", "MARIADB_USER"), ("MYSQL_PASSWORD", "MARIADB_PASSWORD"), "root"),
    _Family(("amqp",), 5672, ("RABBITMQ_DEFAULT_USER",), ("RABBITMQ_DEFAULT_PASS",), "guest"),
    _Family(("redis", "rediss", "valkey"), 6379, (), ()),
)


@frozen
class Variable:
    """`origin`: `.env:3`, or `environment`."""

    name: str
    value: str
    origin: str


def differences(services: tuple[Service, ...], variables: Mapping[str, Variable]) -> Iterator[Reason]:
    """One for each variable whose address would not work with the services as the compose file makes them."""
    for variable in variables.values():
        url = _URL.fullmatch(variable.value)
        family = next((family for family in _FAMILIES if url and url["scheme"] in family.schemes), None)
        if url is None or family is None:
            continue
        those = [(service, port) for service in services if (port := service.port(family.port)) is not None]
        if reason := _difference(url, family, those):
            text = _(
                "{place}: {variable} {difference}",
                place=variable.origin,
                variable=variable.name,
                difference=reason.text,
            )
            yield Reason(text, reason.fix)


def _difference(url: re.Match[str], family: _Family, services: list[tuple[Service, Port]]) -> Reason:
    if not services:
        return NONE
    host, number = url["host"], int(url["port"] or family.port)
    named = next((found for found in services if found[0].name == host), None)
    if named is not None:
        service, port = named
        where = address.join(address.reachable(port.host), port.published)
        text = _("names {host}:{port}, an address that exists only inside compose", host=host, port=number)
        return Reason(text, _("from here it is {address}", address=where))
    if not address.is_loopback(host.strip("[]")):
        return NONE
    here = next((found for found in services if found[1].published == number), None)
    if here is None:
        service, port = services[0]
        text = _(
            "has port {port}, and compose publishes {name} at port {published}",
            port=number,
            name=service.name,
            published=port.published,
        )
        return Reason(text, _("write {port}, if {name} is meant", port=port.published, name=service.name))
    return _login(here[0], url, family)


def _login(service: Service, url: re.Match[str], family: _Family) -> Reason:
    env, name = service.environment, service.name
    if any(f"{variable}_FILE" in env for variable in (*family.users, *family.passwords)) or family.trust in env:
        return NONE
    user = next((env[variable] for variable in family.users if env.get(variable)), family.default)
    secret = next((variable for variable in family.passwords if env.get(variable)), "")
    if family.schemes[0] == "mysql" and url["user"] == "root":
        user, secret = "root", next((v for v in ("MYSQL_ROOT_PASSWORD", "MARIADB_ROOT_PASSWORD") if env.get(v)), "")
    given = unquote(url["user"] or "")
    if not secret:
        if family.schemes[0] != "mongodb" or not given or service.has_init_scripts:
            return NONE
        text = _("logs in as '{given}', and compose gives {name} no user", given=given, name=name)
        fix = _("set {user} and {password} there", user=family.users[0], password=family.passwords[0])
        return Reason(text, fix)
    if given != user and user and service.has_init_scripts:
        return NONE  # they may have made that user
    if user and not given:
        text = _("has no login, and compose gives {name} the user '{user}'", name=name, user=user)
        return Reason(text, _("add {user}:PASSWORD@ ({variable})", user=user, variable=secret))
    if user and given != user:
        text = _("logs in as '{given}', and compose gives {name} the user '{user}'", given=given, name=name, user=user)
        return Reason(text, _("make them the same"))
    if unquote(url["password"] or "") != env[secret]:
        text = _("has another password than compose gives {name} ({variable})", name=name, variable=secret)
        return Reason(text, _("make them the same"))
    is_elsewhere = url["database"] not in (None, "", "admin") and "authsource=" not in (url["query"] or "").lower()
    if family.schemes[0] == "mongodb" and is_elsewhere:
        text = _(
            "looks for '{user}' in the database '{database}', and compose makes that user in admin",
            user=user,
            database=url["database"],
        )
        return Reason(text, _("add {option}", option=f"{'&' if url['query'] else '?'}authSource=admin"))
    return NONE
