"""Why a Temporal server cannot be used: each cause with its own fix.

The SDK connects. Where it cannot, it says so in one sentence; then the layers are asked one by one.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from mika.diagnosis import commands
from mika.diagnosis.temporal import SYSTEM_INFO, Temporal
from mika.machine import grpc
from mika.machine.grpc import Finding
from mika.readiness.ladder import Hopeless, NotYet
from mika.readiness.login import CA, CERTIFICATE, KEY, Login, context_of, shown
from mika.reason import Reason

if TYPE_CHECKING:
    from temporalio.service import ServiceClient

_ADDRESS = "correct its address (`mika config` shows where it is set)"
_DENIED = {7: "PERMISSION_DENIED", 16: "UNAUTHENTICATED"}


async def open_client(address: str, identity: str, login: Login) -> ServiceClient:
    """Connect. Raises RuntimeError or ValueError (not RPCError) when no Temporal server answers there, or not to us."""
    from temporalio.service import ConnectConfig, ServiceClient

    config = ConnectConfig(
        target_host=address, identity=identity, tls=login.tls, api_key=login.api_key, rpc_metadata=login.headers
    )
    return await ServiceClient.connect(config)


async def look(host: str, port: int, login: Login) -> Finding:
    """What the first layer says that does not work. Raises Hopeless for files that are not certificates or keys."""
    context = await asyncio.to_thread(context_of, login)
    found = await grpc.ask(
        host, port, SYSTEM_INFO, context=context, server_name=login.server_name, metadata=login.metadata
    )
    if found.kind == "closed" and context is None and await _speaks_tls(host, port):
        return Finding("wants_tls")  # some servers hang up on clear text without a word
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
            return NotYet(f"{address} answers, but not yet to clients (gRPC {found.code})") if found.code else None
        case "refused" | "unanswered" | "unreachable":
            return NotYet(f"cannot connect to {address}: {found.detail}")
        case "silent":
            return NotYet(f"{address} accepts a connection and does not answer")
        case "closed":
            return NotYet(f"{address} closes each connection at once")
        case "closed_tls":
            return NotYet(_closed_after_tls(address, login))
        case "http" | "other":
            return NotYet(Reason(f"what answers at {address} is not a Temporal server", _ADDRESS))
        case "wants_tls":
            fix = f"set TEMPORAL_TLS=true, and {CA} if its CA is not a public one"
            return Hopeless(Reason(f"{address} speaks only TLS, and TLS is off here", fix))
        case "no_tls":
            fix = f"{_ADDRESS}, or set TEMPORAL_TLS=false"
            return Hopeless(Reason(f"{address} does not speak TLS, and TLS is on here", fix))
        case "certificate":
            return Hopeless(_bad_certificate(found, address, login))
        case "alert":
            return Hopeless(_refused_client(found.detail, address, login))


def denied(address: str, login: Login, code: int) -> Reason:
    """Why the server does not let this client in. `code` is gRPC's."""
    name = _DENIED.get(code, str(code))
    if login.api_key:
        text, fix = f"{address} refuses the API key ({name})", "set TEMPORAL_API_KEY to one that may use this namespace"
    elif login.certificate is not None:
        text, fix = f"{address} refuses this client ({name})", f"set {CERTIFICATE} to one that may use this namespace"
    else:
        text, fix = f"{address} wants a login ({name})", "set TEMPORAL_API_KEY"
    return Reason(text, fix)


async def missing_namespace(temporal: Temporal, address: str, login: Login) -> Reason:
    """What to do about a namespace that the server does not have. Names those that it has, if it tells them.

    mika itself makes none on a server that is not its own.
    """
    try:
        names = ", ".join(await temporal.namespaces())
    except Exception:  # noqa: BLE001 - not everybody may list them
        names = ""
    there, name = f" to one that is there ({names})" if names else "", temporal.namespace
    create = f"create it there: {commands.temporal(commands.create_namespace(name), address)}"
    if login != Login():  # the command would need it, too
        create = "have it created there"
    return Reason(f"{address} has no namespace '{name}'", f"set TEMPORAL_NAMESPACE{there}, or {create}")


def _bad_certificate(found: Finding, address: str, login: Login) -> Reason:
    subject = f"the certificate of {address}"
    if found.code in grpc.WRONG_NAME:
        asked = login.server_name or address.rpartition(":")[0]
        names = ", ".join(found.names)
        plain = next((name for name in found.names if "*" not in name), "NAME")
        text = f"{subject} is not for {asked}" + (f", but for {names}" if names else "")
        return Reason(text, f"set TEMPORAL_TLS_SERVER_NAME={plain} if that is the right server, else {_ADDRESS}")
    if found.code == grpc.EXPIRED:
        return Reason(f"{subject} has expired", "have it renewed there (or is the clock of this machine wrong?)")
    if found.code == grpc.NOT_YET_VALID:
        return Reason(f"{subject} is not valid yet", "set the clock of this machine")
    if found.code in grpc.UNKNOWN_ISSUER:
        ca = f"not signed by the CA {shown(login.ca)}" if login.ca else "not signed by a CA that this system trusts"
        return Reason(f"{subject} is {ca}", f"set {CA} to the certificate of its CA")
    return Reason(f"{subject} is not valid: {found.detail}", "have it replaced there")


def _closed_after_tls(address: str, login: Login) -> Reason:
    """Some servers do not say what they have against a client certificate; others hang up while they start."""
    text = f"{address} hangs up as soon as TLS is set up"
    if login.certificate is None:
        return Reason(text, f"if it wants a client certificate, set {CERTIFICATE} and {KEY}; else look at that server")
    return Reason(text, f"does a CA of that server know {shown(login.certificate)}, and is it still valid?")


def _refused_client(alert: str, address: str, login: Login) -> Reason:
    if login.certificate is None and "CERTIFICATE" in alert:
        return Reason(f"{address} wants a client certificate ({alert})", f"set {CERTIFICATE} and {KEY}")
    if login.certificate is None:
        fix = f"if it wants a client certificate, set {CERTIFICATE} and {KEY}; else look at its log"
        return Reason(f"{address} breaks off the TLS handshake ({alert})", fix)
    client = f"the client certificate {shown(login.certificate)}"
    if "EXPIRED" in alert:
        return Reason(f"{client} has expired, says {address}", f"renew it, and set {CERTIFICATE} and {KEY} to that")
    fix = f"set {CERTIFICATE} and {KEY} to one that a CA of that server has signed"
    return Reason(f"{address} refuses {client} ({alert})", fix)
