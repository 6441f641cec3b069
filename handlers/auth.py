"""Who asks, and may they? Every request passes here before its handler's method is called.

Keys come as `Authorization: Bearer`, as `X-API-Key`, in the ways of the compatible APIs
(`Authorization: DeepL-Auth-Key`, and `api_key` in the body for LibreTranslate), or, for the pages
of this server, as the session in a cookie.
"""

from __future__ import annotations

import asyncio
import math
from ipaddress import ip_network
from typing import TYPE_CHECKING

from tornado.httputil import HTTPServerRequest

from engine.access import keyfile
from engine.access.keys import AccessError, Key, KeyRing, Role
from engine.access.rates import Bucket, Buckets, Limiter, Rate
from engine.access.shared import SharedAccounts, SharedBuckets
from engine.access.state import Accounts, State, keep_saving, seconds_to_midnight
from engine.errors import BabelbrookError
from engine.settings import Settings
from engine.shared_redis import SharedRedis
from handlers.origins import Origins
from handlers.proxies import Proxies

if TYPE_CHECKING:
    from handlers.base import BaseHandler

COOKIE = "babelbrook_session"
_SCHEMES = ("bearer", "deepl-auth-key")

Need = frozenset[Role] | None
"""Roles of which a key needs one; None for what is open to everybody."""

PUBLIC: Need = None
ANY_KEY: Need = frozenset(Role)
TRANSLATE: Need = frozenset({Role.TRANSLATE, Role.ADMIN})
OBSERVE: Need = frozenset({Role.OBSERVE, Role.ADMIN})
ADMIN: Need = frozenset({Role.ADMIN})


class Unauthorized(BabelbrookError):
    """No key, or a wrong one."""

    status = 401
    code = "unauthorized"


class WrongKey(Unauthorized):
    """The same where a peer's API tells it by another status."""

    status = 403
    code = "forbidden"


class WrongRole(BabelbrookError):
    """The key is good for other things."""

    status = 403
    code = "forbidden"


class TooManyRequests(BabelbrookError):
    """More requests than the key or the address may send."""

    status = 429
    code = "rate_limited"

    def __init__(self, sentence: str, retry_after: float) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class QuotaUsed(TooManyRequests):
    """The key has used its tokens of the day."""

    code = "quota_used"


class Gate:
    """The rules, and what is counted for them. `reload` takes over others."""

    def __init__(self, settings: Settings, *, public: bool = False) -> None:
        """`public` where the server listens on more than the loopback interface.

        Raises AccessError where the keys cannot be read, and where it does but there are none; and
        WrongRedisUrl.
        """
        self._public = public
        self.redis = None if settings.redis.url == "none" else SharedRedis(settings.redis)
        buckets, state = Buckets(), State(keyfile.state_path(settings))
        self._limiter: Limiter = buckets
        self.state: Accounts = state
        if self.redis is not None:
            self._limiter = SharedBuckets(self.redis, buckets)
            self.state = SharedAccounts(self.redis, state)
        self._set(settings, keyfile.ring(settings))
        if self.closed and not self.has_keys:
            raise AccessError(
                f"{settings.server.host} can be reached from other machines, and there are no keys:"
                " whoever finds it could use it. Make a key with: python server.py keys add NAME"
                " (or start it all the same with --insecure)."
            )

    async def start(self) -> None:
        """Reach for the Redis where there is one, and save what is counted from now on."""
        if self.redis is not None:
            await self.redis.start()
        self._saving = asyncio.ensure_future(keep_saving(self.state))

    async def stop(self) -> None:
        """Save for the last time."""
        self._saving.cancel()
        await self.state.save()
        if self.redis is not None:
            await self.redis.close()

    def reload(self, settings: Settings) -> int:
        """Go by these settings and the present keys, and tell how many keys there are.

        Raises AccessError; then all stays as it is.
        """
        ring = keyfile.ring(settings)
        self._set(settings, ring)
        return len(ring)

    def _set(self, settings: Settings, ring: KeyRing) -> None:
        proxies = Proxies(settings.server.trusted_proxies)
        if ring:
            self.state.open()
        # From here on nothing fails. Taking the last key away must not open a server to the world.
        self.closed = bool(ring) or (self._public and not settings.server.insecure)
        self._ring = ring
        self.proxies = proxies
        self.origins = Origins(settings.server, public=self._public)
        rate = settings.limits.rate_per_address
        self._address_rate = None if rate == "none" else Rate.parse(rate)

    @property
    def has_keys(self) -> bool:
        """Whether there are any."""
        return len(self._ring) > 0

    async def admit(self, handler: BaseHandler) -> None:
        """Let a request in; `handler.key` is its key then.

        Raises ForeignHost, ForeignOrigin, TooManyRequests, Unauthorized (or what the handler has
        in its place) and WrongRole.
        """
        request = handler.request
        self.origins.check(request)
        need = handler.needs()
        if need is None or self.origins.is_preflight(request):
            return
        if self._address_rate is not None:
            await self._take(handler, f"address {_network(request.remote_ip)}", self._address_rate)
        if self.closed:
            key = await self._key_of(request)
            if key is None and handler.key_in_body and "Authorization" not in request.headers:
                handler.awaits_key = True  # `admit_by_body` follows
            else:
                await self._let_in(handler, need, key)

    async def admit_by_body(self, handler: BaseHandler, text: object) -> None:
        """The same for a key that came in the body."""
        handler.awaits_key = False
        key = self._ring.find(text) if isinstance(text, str) else None
        await self._let_in(handler, handler.needs() or frozenset(), key)

    async def _key_of(self, request: HTTPServerRequest) -> Key | None:
        headers = request.headers
        scheme, _, text = headers.get("Authorization", "").partition(" ")
        if scheme.lower() in _SCHEMES:
            return self._ring.find(text.strip())
        if (text := headers.get("X-API-Key", "")) != "":
            return self._ring.find(text)
        cookie = request.cookies.get(COOKIE)
        return await self._key_of_session(cookie.value) if cookie is not None else None

    async def _key_of_session(self, token: str) -> Key | None:
        key_id = await self.state.session(token) if self.has_keys else None
        return None if key_id is None else self._ring.by_id(key_id)

    async def _let_in(self, handler: BaseHandler, need: frozenset[Role], key: Key | None) -> None:
        if key is None:
            raise handler.refusal(f"A valid key is needed, as {handler.key_form}.")
        if not key.roles & need:
            raise WrongRole(f"This needs a key with the role {' or '.join(sorted(need))}.")
        handler.key = key
        if key.rate is not None:
            await self._take(handler, f"key {key.id}", key.rate)
        quota = key.tokens_per_day
        if need is TRANSLATE and quota is not None and await self.state.used(key.id) >= quota:
            raise QuotaUsed(
                f"This key has used its {quota:,} tokens of the day.", seconds_to_midnight()
            )

    async def _take(self, handler: BaseHandler, client: str, rate: Rate) -> None:
        """Count a request. Raises TooManyRequests."""
        bucket, wait = await self._limiter.take(client, rate)
        handler.tell(_limit_headers(client.partition(" ")[0], bucket))
        if wait:
            raise TooManyRequests(
                f"More than {rate} requests. Ask again in {math.ceil(wait)} s.", wait
            )

    @property
    def observers(self) -> frozenset[str] | None:
        """Ids of the keys that may watch the server; None where everybody may."""
        if not self.closed:
            return None
        return frozenset(key.id for key in self._ring if key.roles & {Role.OBSERVE, Role.ADMIN})

    async def asks_for_key(self, request: HTTPServerRequest) -> bool:
        """Whether a key is needed and the request has none."""
        return self.closed and await self._key_of(request) is None

    async def log_in(self, text: str) -> str:
        """Begin a session; returns what the cookie holds. Raises Unauthorized."""
        key = self._ring.find(text)
        if key is None:
            raise Unauthorized("That is not a valid key.")
        return await self.state.log_in(key.id)

    async def log_out(self, token: str) -> None:
        """End a session. Raises NotReady where that cannot be done now."""
        if self.has_keys:
            await self.state.log_out(token)


def _network(address: str | None) -> str:
    """What one client has: an address, or with IPv6 a network of 64 bits."""
    if address is None or ":" not in address:
        return address or ""
    return str(ip_network((address.partition("%")[0], 64), strict=False))


def _limit_headers(policy: str, bucket: Bucket) -> list[tuple[str, str]]:
    """Header fields of draft-ietf-httpapi-ratelimit-headers-10: what is allowed, what is left."""
    rate = bucket.rate
    return [
        ("RateLimit-Policy", f'"{policy}";q={rate.count};w={rate.seconds}'),
        ("RateLimit", f'"{policy}";r={bucket.left};t={bucket.seconds_to_full}'),
    ]
