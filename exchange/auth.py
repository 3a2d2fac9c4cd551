"""Who may ask: any key pair unless one is fixed; every way clients send it."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

KEY_HEADER = "APCA-API-KEY-ID"
SECRET_HEADER = "APCA-API-SECRET-KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The pair that is let in; with none fixed, every non-empty pair is."""

    key: str | None = None
    secret: str | None = None

    def admits(self, key: object, secret: object) -> bool:
        """Whether a pair is let in."""
        if not (isinstance(key, str) and isinstance(secret, str) and key and secret):
            return False
        right_key = self.key is None or _same(key, self.key)
        right_secret = self.secret is None or _same(secret, self.secret)
        return right_key and right_secret

    def admits_headers(self, headers: Mapping[str, str]) -> bool:
        """Whether a request's headers carry a pair that is let in: the two headers of the API,
        or Basic; a Bearer token stands for both where no pair is fixed."""
        if KEY_HEADER in headers or SECRET_HEADER in headers:
            return self.admits(headers.get(KEY_HEADER), headers.get(SECRET_HEADER))
        scheme, _, rest = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return bool(rest.strip()) and self.key is None and self.secret is None
        if scheme.lower() != "basic":
            return False
        try:
            pair = base64.b64decode(rest, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return False
        key, _, secret = pair.partition(":")
        return self.admits(key, secret)


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
