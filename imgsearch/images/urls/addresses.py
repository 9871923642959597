"""Checks IP addresses: public ones, and private ones that an operator allows."""

import logging
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, Self, TypeAlias

from imgsearch.errors import ConfigError

Address: TypeAlias = IPv4Address | IPv6Address
Resolver: TypeAlias = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host name and a port as strings; empty for an unknown name."""

_log = logging.getLogger(__name__)

# Source: the IANA special-purpose address registries, https://www.iana.org/assignments/
# iana-ipv4-special-registry and iana-ipv6-special-registry (RFC 6890). They are listed here because
# `ipaddress` implements them differently in each version of Python.
_SPECIAL: Final = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network: Linux connects to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a provider's NAT, and the metadata of a cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host agent, the same for all machines
        "169.254.0.0/16",  # link-local, and the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_UNICAST: Final = IPv6Network("2000::/3")  # all allocated addresses
_SPECIAL_6: Final = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocols, including Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",  # documentation
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # IPv4 hosts in a network with IPv6 only
_ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214: an IPv4 address follows


def is_public(address: Address) -> bool:
    """Return whether an address belongs to a host on the public internet.

    IPv6 forms of IPv4 addresses (mapped, 6to4, Teredo) are not public. A NAT64 address is public if
    its IPv4 address is.
    """
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _SPECIAL)
    if address.scope_id is not None:
        return False
    low = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _NAT64:
        return is_public(low)
    if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP and not is_public(low):
        return False
    return address in _UNICAST and not any(address in block for block in _SPECIAL_6)


def is_own(address: Address) -> bool:
    """Return whether an address belongs to this machine, whose services may trust local clients.

    The check uses the source address that the system selects, and sends nothing.
    """
    import socket

    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0].partition("%")[0]) == address
    except OSError:  # not routable, so not local
        return False


@dataclass(frozen=True, slots=True)
class Guard:
    """Allows requests to public hosts except this one, and to an operator's hosts and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, allow: Collection[str]) -> Self:
        """Parse host names ("images.intern"), addresses and networks ("10.2.0.0/16").

        Raises:
            ConfigError: an item is invalid.
        """
        hosts, networks = set(), []
        for word in allow:
            try:
                networks.append(ip_network(word))
            except ValueError as error:
                name = word.lower().removesuffix(".")
                if not re.fullmatch(r"(?!-)[a-z0-9._-]{1,253}", name) or name[-1].isdigit():
                    raise ConfigError(
                        f"cannot allow {word!r}: give a host, address or network"
                    ) from error
                hosts.add(name)
        return cls(frozenset(hosts), tuple(networks))

    def allowed(self, host: str, texts: Sequence[str]) -> list[Address]:
        """Return the addresses of `host` if all of them are allowed, else an empty list."""
        try:
            addresses = [ip_address(text) for text in texts]
        except ValueError:
            return []
        for address in addresses:
            listed = host in self.hosts or any(address in network for network in self.networks)
            if not listed and (is_own(address) or not is_public(address)):
                _log.info("rejected: %s has the address %s", host, address)
                return []
        return list(dict.fromkeys(addresses))


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of `host` from the system's resolver; empty for an unknown host."""
    import socket

    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for *_, address in infos]
