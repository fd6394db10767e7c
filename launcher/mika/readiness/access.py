"""Why a Temporal server cannot be used: each cause with its own fix.

The SDK connects. Where it cannot, it says so in one sentence; then the layers are asked one by one.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from mika.diagnosis import commands
from mika.diagnosis.temporal import SYSTEM_INFO, Temporal
from mika.machine import grpc
from mika.machine.grpc import Finding
from mika.readiness.ladder import Hopeless, NotYet
from mika.readiness.login import CA, CERTIFICATE, KEY, Login, context_of, shown
from mika.reason import Reason
from mika.wording import _, listed

if TYPE_CHECKING:
    from temporalio.runtime import Runtime
    from temporalio.service import ServiceClient

_ADDRESS = _("correct its address (`mika config` shows where it is set)")
_ONLY_THE_SDKS = re.compile(r"InvalidCertificate\(Other\(OtherError\((\w{1,100})")
"""What the TLS of the SDK says of a certificate, in Rust's debug text, that is not one of the usual faults."""
_DENIED = {7: "PERMISSION_DENIED", 16: "UNAUTHENTICATED"}


async def open_client(address: str, identity: str, login: Login) -> ServiceClient:
    """Connect. Raises RuntimeError or ValueError (not RPCError) when no Temporal server answers there, or not to us.

    Raises Hopeless for a certificate with which OpenSSL finds no fault, but the SDK does.
    """
    from temporalio.service import ConnectConfig, ServiceClient

    config = ConnectConfig(
        target_host=address,
        identity=identity,
        tls=login.tls,
        api_key=login.api_key,
        rpc_metadata=login.headers,
        runtime=_silent_runtime(),
    )
    try:
        return await ServiceClient.connect(config)
    except RuntimeError as error:
        if fault := _ONLY_THE_SDKS.search(str(error)):
            raise Hopeless(_unaccepted(address, fault[1])) from error
        raise


@cache
def _silent_runtime() -> Runtime:
    """The default one writes its warnings to standard output, into what a script reads there."""
    from temporalio.runtime import Runtime, TelemetryConfig

    return Runtime(telemetry=TelemetryConfig(logging=None))


def _unaccepted(address: str, fault: str) -> Reason:
    certificate = _("the certificate of {address}", address=address)
    if fault == "CaUsedAsEndEntity":
        return Reason(
            _(
                "{certificate} is a CA certificate, which the SDK does not accept as a server's",
                certificate=certificate,
            ),
            _(
                "make the server's certificate with `-addext basicConstraints=critical,CA:FALSE`"
                " (`openssl req -x509` alone makes that of a CA)"
            ),
        )
    text = _("the SDK does not accept {certificate}: {reason}", certificate=certificate, reason=fault)
    return Reason(text, _("have it replaced there"))


async def look(host: str, port: int, login: Login) -> Finding:
    """What the first layer says that does not work. Raises Hopeless for files that are not certificates or keys."""
    context = await asyncio.to_thread(context_of, login)
    found = await grpc.ask(
        host, port, SYSTEM_INFO, context=context, server_name=login.server_name, metadata=login.metadata
    )
    if found.kind == "closed" and context is None and await _speaks_tls(host, port):
        return replace(found, kind="wants_tls")  # some servers hang up on clear text without a word
    return found


async def _speaks_tls(host: str, port: int) -> bool:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    anybody.set_alpn_protocols(["h2"])
    return (await grpc.ask(host, port, SYSTEM_INFO, context=anybody)).kind in ("status", "alert", "http")


async def why_not(host: str, port: int, address: str, login: Login) -> NotYet | None:
    """Why nobody can connect there; None if everything works. `Hopeless` if waiting does not help."""
    return judge(await look(host, port, login), address, login)


def judge(found: Finding, address: str, login: Login) -> NotYet | None:
    match found.kind:
        case "status":
            if found.code in _DENIED:
                return Hopeless(denied(address, login, found.code))
            text = _("{address} answers, but not yet to clients (gRPC {code})", address=address, code=found.code)
            return NotYet(text) if found.code else None
        case "refused" | "unanswered" | "unreachable":
            return NotYet(cannot_connect(address, found.detail))
        case "silent":
            return NotYet(_("{address} accepts a connection and does not answer", address=address))
        case "closed":
            return NotYet(_("{address} closes each connection at once", address=address))
        case "closed_tls":
            return NotYet(_closed_after_tls(address, login))
        case "http" | "other":
            text = _("what answers at {address} is not a Temporal server", address=address)
            return NotYet(Reason(text, _ADDRESS))
        case "wants_tls":
            fix = _("set TEMPORAL_TLS=true, and {setting} if its CA is not a public one", setting=CA)
            return Hopeless(Reason(_("{address} speaks only TLS, and TLS is off here", address=address), fix))
        case "no_tls":
            fix = _("{correct_address}, or set TEMPORAL_TLS=false", correct_address=_ADDRESS)
            return Hopeless(Reason(_("{address} does not speak TLS, and TLS is on here", address=address), fix))
        case "certificate":
            return Hopeless(_bad_certificate(found, address, login))
        case "alert":
            return Hopeless(_refused_client(found.detail, address, login))


def cannot_connect(address: str, reason: str) -> str:
    return _("cannot connect to {address}: {reason}", address=address, reason=reason)


def denied(address: str, login: Login, code: int) -> Reason:
    """Why the server does not let this client in. `code` is gRPC's."""
    name = _DENIED.get(code, str(code))
    if login.api_key:
        text = _("{address} refuses the API key ({code})", address=address, code=name)
        return Reason(text, _("set {setting} to one that has access to this namespace", setting="TEMPORAL_API_KEY"))
    if login.certificate is not None:
        text = _("{address} refuses this client ({code})", address=address, code=name)
        return Reason(text, _("set {setting} to one that has access to this namespace", setting=CERTIFICATE))
    return Reason(_("{address} wants a login ({code})", address=address, code=name), _("set TEMPORAL_API_KEY"))


async def missing_namespace(temporal: Temporal, address: str, login: Login) -> Reason:
    """What to do about a namespace that the server does not have. Names those that it has, if it tells them.

    mika itself makes none on a server that is not its own.
    """
    try:
        names: str = listed(await temporal.namespaces())
    except Exception:  # noqa: BLE001 - not everybody may list them
        names = ""
    name = temporal.namespace
    command = commands.temporal(commands.create_namespace(name), address)
    create = _("create it there: {command}", command=command)
    if login != Login():  # the command would need it, too
        create = _("have it created there")
    fix = (
        _("set TEMPORAL_NAMESPACE to one that is there ({names}), or {create}", names=names, create=create)
        if names
        else _("set TEMPORAL_NAMESPACE, or {create}", create=create)
    )
    return Reason(_("{address} has no namespace '{namespace}'", address=address, namespace=name), fix)


def _bad_certificate(found: Finding, address: str, login: Login) -> Reason:
    subject = _("the certificate of {address}", address=address)
    if found.code in grpc.WRONG_NAME:
        return _wrong_name(found, subject, login.server_name or address.rpartition(":")[0])
    if found.code == grpc.EXPIRED:
        return Reason(
            _("{certificate} has expired", certificate=subject),
            _("have it renewed there (or is the clock of this machine wrong?)"),
        )
    if found.code == grpc.NOT_YET_VALID:
        return Reason(_("{certificate} is not valid yet", certificate=subject), _("set the clock of this machine"))
    if found.code in grpc.UNKNOWN_ISSUER:
        text = (
            _("{certificate} is not signed by the CA {ca}", certificate=subject, ca=shown(login.ca))
            if login.ca
            else _("{certificate} is not signed by a CA that this system trusts", certificate=subject)
        )
        return Reason(text, _("set {setting} to the certificate of its CA", setting=CA))
    text = _("{certificate} is not valid: {reason}", certificate=subject, reason=found.detail)
    return Reason(text, _("have it replaced there"))


def _wrong_name(found: Finding, subject: str, asked: str) -> Reason:
    names = listed(found.names)
    plain = next((name for name in found.names if "*" not in name), "NAME")
    text = (
        _("{certificate} is not for {name}, but for {names}", certificate=subject, name=asked, names=names)
        if names
        else _("{certificate} is not for {name}", certificate=subject, name=asked)
    )
    fix = _(
        "set TEMPORAL_TLS_SERVER_NAME={name} if that is the right server, else {correct_address}",
        name=plain,
        correct_address=_ADDRESS,
    )
    return Reason(text, fix)


def _closed_after_tls(address: str, login: Login) -> Reason:
    """Some servers do not say what they have against a client certificate; others hang up while they start."""
    text = _("{address} hangs up as soon as TLS is set up", address=address)
    if login.certificate is None:
        fix = _(
            "if it wants a client certificate, set {certificate} and {key}; else look at that server",
            certificate=CERTIFICATE,
            key=KEY,
        )
        return Reason(text, fix)
    certificate = shown(login.certificate)
    return Reason(
        text, _("does a CA of that server know {certificate}, and is it still valid?", certificate=certificate)
    )


def _refused_client(alert: str, address: str, login: Login) -> Reason:
    if login.certificate is None and "CERTIFICATE" in alert:
        text = _("{address} wants a client certificate ({alert})", address=address, alert=alert)
        return Reason(text, _("set {certificate} and {key}", certificate=CERTIFICATE, key=KEY))
    if login.certificate is None:
        text = _("{address} breaks off the TLS handshake ({alert})", address=address, alert=alert)
        fix = _(
            "if it wants a client certificate, set {certificate} and {key}; else look at its log",
            certificate=CERTIFICATE,
            key=KEY,
        )
        return Reason(text, fix)
    client = _("the client certificate {source}", source=shown(login.certificate))
    if "EXPIRED" in alert:
        text = _("{certificate} has expired, says {address}", certificate=client, address=address)
        return Reason(text, _("renew it, and set {certificate} and {key} to that", certificate=CERTIFICATE, key=KEY))
    text = _("{address} refuses {certificate} ({alert})", address=address, certificate=client, alert=alert)
    fix = _("set {certificate} and {key} to one that a CA of that server has signed", certificate=CERTIFICATE, key=KEY)
    return Reason(text, fix)
