"""What a proxy in front tells of the client, where the proxy is one of those that are trusted.

Anybody can send `X-Forwarded-For`; it counts from the addresses of `server.trusted_proxies` only.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from tornado.httputil import HTTPServerRequest

from engine.access.keys import AccessError

_UNIX_PEER = "0.0.0.0"  # Tornado's name for it, which no other peer has


class Proxies:
    """The proxies that are trusted."""

    def __init__(self, names: list[str]) -> None:
        """Raises AccessError for what is no address, network or `unix`."""
        self._unix = "unix" in names
        self._networks: list[IPv4Network | IPv6Network] = []
        for name in names:
            try:
                self._networks += [ip_network(name)] if name != "unix" else []
            except ValueError as error:
                raise AccessError(f"server.trusted_proxies: {error}.") from None

    def _trusts(self, address: str) -> bool:
        if address == _UNIX_PEER:
            return self._unix
        try:
            ip = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(ip, "ipv4_mapped", None) or ip
        return any(mapped in network for network in self._networks)

    def apply(self, request: HTTPServerRequest) -> None:
        """Put the client's address, scheme and Host in the place of the proxy's."""
        if not (self._networks or self._unix) or not self._trusts(request.remote_ip or ""):
            return
        headers = request.headers
        request.remote_ip = self._client(headers.get("X-Forwarded-For", ""), request.remote_ip)
        scheme = _last(headers.get("X-Forwarded-Proto", ""))
        if scheme in ("http", "https"):
            request.protocol = scheme
        request.host = _last(headers.get("X-Forwarded-Host", "")) or request.host

    def _client(self, forwarded: str, peer: str | None) -> str | None:
        """The last address of the list that is no trusted proxy: those before it may be made up."""
        client = peer
        for address in reversed([each.strip() for each in forwarded.split(",")]):
            try:
                ip_address(address)
            except ValueError:
                break
            client = address
            if not self._trusts(address):
                break
        return client


def _last(values: str) -> str:
    return values.rpartition(",")[2].strip()
