"""Public addresses, with the standard library's table as the oracle."""

import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imgsearch.errors import ConfigError, UrlRefused
from imgsearch.images.urls import Guard, is_public
from imgsearch.images.urls.addresses import is_own
from imgsearch.images.urls.target import Target

ROOT = Path(__file__).resolve().parents[3]
PRIVATE = [
    "0.0.0.1", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.7",
    "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1",
    "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.9", "203.0.113.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
]  # fmt: skip
PRIVATE_6 = [
    "::", "::1", "::127.0.0.1", "100::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0",
    "fec0::1", "ff02::1", "2001:db8::1", "3fff::1", "2001::1", "2001:10::1", "64:ff9b:1::8.8.8.8",
    "64:ff9b::10.0.0.1", "::ffff:8.8.8.8", "2002:808:808::1", "2606:4700::5efe:10.0.0.1",
    "2606:4700::200:5efe:a9fe:a9fe", "5f00::1", "4000::1", "2620:4f:8000::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8"]
CLOSED = [IPv4Network(block) for block in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16")]
private = st.one_of(
    [st.integers(int(block[0]), int(block[-1])).map(IPv4Address) for block in CLOSED]
)


@pytest.mark.parametrize("address", PRIVATE + PRIVATE_6)
def test_special_addresses_are_not_public(address):
    assert not is_public(ip_address(address))
    assert Guard().allowed("host.example", [address]) == []


@pytest.mark.parametrize("address", PUBLIC)
def test_ordinary_addresses_are_public(address):
    assert Guard().allowed("host.example", [address]) == [ip_address(address)]


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, 2**32 - 1).map(IPv4Address))
@example(IPv4Address("198.17.255.255"))
@example(IPv4Address("100.127.255.255"))
def test_public_ipv4_addresses_agree_with_the_standard_library(address):
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, 2**125 - 1).map(lambda n: IPv6Address(n + (1 << 125))))
def test_public_ipv6_addresses_agree_with_the_standard_library(address):
    if is_public(address):
        assert address.is_global
        assert address.sixtofour is None
        assert address.teredo is None


@settings(deadline=None)  # the machine may be busy
@given(private)
def test_ipv4_embedded_in_ipv6_is_judged_as_ipv4(inner):
    number = int(inner)
    for carrier in (
        IPv6Address(number),  # compatible
        IPv6Address(0xFFFF << 32 | number),  # mapped
        IPv6Address(0xFFFF << 48 | number),  # translated, RFC 2765
        IPv6Address(0x64_FF9B << 96 | number),  # NAT64
        IPv6Address(0x2002 << 112 | number << 80 | 1),  # 6to4
        IPv6Address(0x2001_0000 << 96 | (number ^ 0xFFFF_FFFF)),  # Teredo
        IPv6Address(0x2606_4700 << 96 | 0x5EFE << 32 | number),  # ISATAP
    ):
        assert Guard().allowed("x", [str(carrier)]) == []


@settings(deadline=None)  # the machine may be busy
@given(private)
def test_no_spelling_of_a_private_address_passes_as_a_name(address):
    """Each form is either rejected or parsed as the private address, which is rejected."""
    number, parts = int(address), address.packed
    last24, last16 = number & 0xFF_FFFF, number & 0xFFFF
    forms = [
        str(address), f"{number}", f"{number:#x}", f"{number:#X}", f"0{number:o}", f"{address}.",
        f"{parts[0]}.{last24}", f"{parts[0]}.{parts[1]}.{last16}", f"{parts[0]:#x}.{last24:#x}",
        ".".join(f"{part:#x}" for part in parts), ".".join(f"0{part:o}" for part in parts),
        ".".join(f"{part:03}" for part in parts), "。".join(str(part) for part in parts),
        str(address).translate({ord("0") + n: ord("０") + n for n in range(10)}),
        str(address).replace(".", "%2e"), f"[::ffff:{address}]", f"[::{address}]", f"[{address}]",
        f"0{address}", f"{address}.0x", f"[fe80::{address}%25lo]",
    ]  # fmt: skip
    for form in forms:
        try:
            target = Target.parse(f"http://{form}/")
        except UrlRefused:
            continue
        assert Guard().allowed(target.host, [target.host]) == []


def test_host_with_one_private_address_is_not_public():
    assert Guard().allowed("gemischt.example", ["8.8.8.8", "10.0.0.7"]) == []
    assert Guard().allowed("leer.example", []) == []
    assert Guard().allowed("host.example", ["kein Rechner"]) == []


def test_addresses_of_this_machine_are_recognized():
    assert is_own(ip_address("127.0.0.1"))
    for other in ("8.8.8.8", "2606:4700::1111", "198.51.100.9"):
        assert not is_own(ip_address(other))


def test_public_address_of_this_machine_is_rejected_unless_allowed():
    """Uses a network namespace with a public address, which answers without a network."""
    code = (
        "from imgsearch.images.urls import Guard; asked = ('ich.example', ['8.8.8.8'])\n"
        "print(Guard().allowed(*asked), Guard.parse(['8.8.8.0/24']).allowed(*asked))"
    )
    words = 'ip link set lo up && ip address add 8.8.8.8/32 dev lo && exec "$0" -c "$1"'
    unshare = ["unshare", "-rn", "sh", "-c", words, sys.executable, code]
    try:
        ran = subprocess.run(unshare, capture_output=True, text=True, cwd=ROOT)
    except FileNotFoundError:
        pytest.skip("unshare is missing")
    if "unshare" in ran.stderr or "ip:" in ran.stderr:
        pytest.skip("network namespaces are not permitted, or the command ip is missing")
    assert ran.stdout == "[] [IPv4Address('8.8.8.8')]\n", ran.stderr


def test_allowed_hosts_and_networks_are_accepted():
    guard = Guard.parse(["Bilder.Intern", "10.2.0.0/16", "fd00::7"])
    assert guard.allowed("bilder.intern", ["192.168.0.9"]) == [ip_address("192.168.0.9")]
    assert guard.allowed("x", ["10.2.3.4", "fd00::7"]) == [
        ip_address("10.2.3.4"), ip_address("fd00::7")
    ]  # fmt: skip
    assert guard.allowed("x", ["10.2.3.4", "10.3.0.1"]) == []
    assert guard.allowed("intern", ["192.168.0.9"]) == []


@pytest.mark.parametrize("word", ["", "10.2.0.1/16", "http://host", "a b", "2130706433", "*", "-x"])
def test_invalid_allow_entry_raises(word):
    with pytest.raises(ConfigError, match="give a host, address or network"):
        Guard.parse([word])
