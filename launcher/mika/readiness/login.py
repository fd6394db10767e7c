"""How to log in to a Temporal server: what the SDK makes of the settings, and the same for Python's own TLS."""

from __future__ import annotations

import importlib
import ssl
import threading
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from mika.frozen import frozen
from mika.readiness.ladder import Hopeless
from mika.reason import Reason
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.envconfig import ClientConfigProfile, ClientConfigTLS, DataSource
    from temporalio.service import TLSConfig

_importing = threading.Lock()
CA = "TEMPORAL_TLS_SERVER_CA_CERT_PATH"
CERTIFICATE, KEY = "TEMPORAL_TLS_CLIENT_CERT_PATH", "TEMPORAL_TLS_CLIENT_KEY_PATH"


@frozen
class Login:
    """What a connection needs beside the address. Secrets are not in its `repr`."""

    tls: TLSConfig | bool = field(default=False, repr=False)
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: DataSource | None = field(default=None, repr=False)
    certificate: DataSource | None = field(default=None, repr=False)
    key: DataSource | None = field(default=None, repr=False)
    server_name: str = ""

    @property
    def metadata(self) -> dict[str, str]:
        """The headers of each call."""
        key = {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return {**self.headers, **key}


def preload(module: str = "temporalio.service") -> None:
    """Import a part of the SDK now, in whatever thread this is: the server needs that long to start anyway.

    One thread at a time: its modules import each other in a circle, and a second thread would see half of one.
    """
    with _importing:
        importlib.import_module(module)


def read(variables: Mapping[str, str]) -> Login:
    """What the SDK makes of these variables. Imports it, and reads files: not for an event loop.

    Raises Hopeless for settings that cannot be used.
    """
    preload()
    if not variables:
        return Login()
    from temporalio.envconfig import ClientConfigProfile

    try:
        profile = ClientConfigProfile.load(override_env_vars=variables)
    except RuntimeError as error:
        first = str(error).partition("\n")[0]  # below stands the line itself, perhaps with a key
        text = _("the login to Temporal cannot be read: {error}", error=first)
        raise _wrong(text, _("`mika config` says where it is")) from None
    if profile.tls is not None and not profile.tls.disabled:
        _check(profile.tls)
    return _login(profile)


def _check(tls: ClientConfigTLS) -> None:
    """Raise Hopeless for a file that cannot be read, and for half of a client certificate."""
    sources = {CA: tls.server_root_ca_cert, CERTIFICATE: tls.client_cert, KEY: tls.client_private_key}
    for setting, source in sources.items():
        if isinstance(source, Path):
            try:
                source.read_bytes()
            except OSError as error:
                reason = error.strerror or type(error).__name__
                text = _("{file} cannot be read: {error}", file=source, error=reason)
                raise _wrong(text, _("correct {setting}", setting=setting)) from error
    if (tls.client_cert is None) != (tls.client_private_key is None):
        if tls.client_cert is not None:
            text, missing = _("only the certificate of a client certificate and its key is given"), KEY
        else:
            text, missing = _("only the key of a client certificate and its key is given"), CERTIFICATE
        raise _wrong(text, _("set {setting}, too", setting=missing))


def _login(profile: ClientConfigProfile) -> Login:
    tls = profile.tls
    options = profile.to_client_connect_config()
    return Login(
        tls=options.get("tls", False),
        api_key=profile.api_key or None,
        headers=profile.grpc_meta,
        ca=tls.server_root_ca_cert if tls else None,
        certificate=tls.client_cert if tls else None,
        key=tls.client_private_key if tls else None,
        server_name=(tls.server_name or "") if tls else "",
    )


def context_of(login: Login) -> ssl.SSLContext | None:
    """For Python's TLS; None where TLS is off. Raises Hopeless for files that are not certificates or keys.

    Python can only take a client certificate from files. One that is given as data is left out, rather than written
    into a file together with its key.
    """
    if not login.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False  # as the SDK, which also trusts a CA that another one has signed
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2"])
    try:
        _trust(context, login.ca)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        text = _("the CA certificate {source} is not in PEM format", source=shown(login.ca))
        raise _wrong(text, _("correct {setting}", setting=CA)) from error
    if isinstance(login.certificate, Path) and isinstance(login.key, Path):
        try:
            context.load_cert_chain(login.certificate, login.key, password=lambda: b"")
        except ssl.SSLError as error:
            text = (
                _("{key} is not the key of the certificate {certificate}", key=login.key, certificate=login.certificate)
                if error.reason == "KEY_VALUES_MISMATCH"
                else _(
                    "{certificate} and {key} are not a certificate and its key in PEM format, without a password",
                    certificate=login.certificate,
                    key=login.key,
                )
            )
            fix = _("correct {certificate} or {key}", certificate=CERTIFICATE, key=KEY)
            raise _wrong(text, fix) from error
    return context


def _trust(context: ssl.SSLContext, ca: DataSource | None) -> None:
    if ca is None:
        context.load_default_certs()
    elif isinstance(ca, Path):
        context.load_verify_locations(ca)
    else:
        context.load_verify_locations(cadata=ca if isinstance(ca, str) else ca.decode())


def shown(source: DataSource | None) -> str:
    """A source for people: its path, never its content."""
    return str(source) if isinstance(source, Path) else _("that is given as data")


def _wrong(text: str, fix: str) -> Hopeless:
    return Hopeless(Reason(text, fix))
