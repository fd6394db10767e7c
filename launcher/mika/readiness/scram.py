"""The client's half of a SCRAM login: it proves that it knows a password, and never sends it.

RFC 5802 (https://www.rfc-editor.org/rfc/rfc5802) with SHA-1, RFC 7677 (https://www.rfc-editor.org/rfc/rfc7677) with
SHA-256. What the server proves in return is not checked: nothing secret is sent to it afterwards.
"""

from __future__ import annotations

import hashlib
import hmac
import stringprep
import unicodedata
from base64 import b64decode, b64encode

_GS2 = "n,,"  # no channel binding
_MOST_ITERATIONS = 1_000_000  # MongoDB's default is 15 000; more is a server that wants our processor


def first_message(user: str, nonce: str) -> str:
    return f"{_GS2}n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"


def final_message(hash_name: str, secret: str, first: str, challenge: str) -> str:
    """The proof that answers the server's `challenge`. Raises ValueError for one that is not SCRAM.

    `hash_name` is `sha1` or `sha256`, `secret` the prepared password, `first` our first message.
    """
    bare = first.removeprefix(_GS2)
    values = dict(part.split("=", 1) for part in challenge.split(","))
    try:
        nonce, salt, iterations = values["r"], b64decode(values["s"], validate=True), int(values["i"])
    except KeyError as error:
        raise ValueError(f"the challenge has no {error}") from None
    if not nonce.startswith(bare.rpartition(",r=")[2]) or not 1 <= iterations <= _MOST_ITERATIONS:
        raise ValueError("the challenge does not fit")
    salted = hashlib.pbkdf2_hmac(hash_name, secret.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    stored_key = hashlib.new(hash_name, client_key).digest()
    unproven = f"c={b64encode(_GS2.encode()).decode()},r={nonce}"
    signature = hmac.digest(stored_key, f"{bare},{challenge},{unproven}".encode(), hash_name)
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    return f"{unproven},p={b64encode(proof).decode()}"


def prepared(password: str) -> str:
    """The same for every way to type it: SASLprep (https://www.rfc-editor.org/rfc/rfc4013)."""
    mapped = (" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
    return unicodedata.normalize("NFKC", "".join(mapped))
