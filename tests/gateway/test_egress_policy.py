import pytest

from lebureau_app.gateway.egress import HOST_NAME, AllowedTarget, EgressPolicy
from lebureau_app.gateway.egress.addresses import Kind, kind_of
from lebureau_app.gateway.egress.policy import normal_host

ADDRESSES = {
    Kind.PUBLIC: [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.32.0.1",
        "192.169.0.1",
        "223.255.255.254",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:0808:0808::1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "2001:db8::1",
        "3fff::1",
    ],
    Kind.LOOPBACK: [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
    Kind.PRIVATE: [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "fd00::1",
        "fc00::1",
        "fec0::1",
        "::ffff:10.1.2.3",
        "64:ff9b::10.0.0.1",
        "2002:c0a8:0101::1",
        "2001:0:0808:0808:0:0:f5ff:fffe",
    ],
    Kind.LINK_LOCAL: ["169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.1.1"],
    Kind.METADATA: [
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
    ],
    Kind.RESERVED: [
        "0.0.0.0",
        "0.1.2.3",
        "192.0.0.8",
        "192.88.99.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "100::1",
        "64:ff9b:1::1",
        "4000::1",
        "ff02::1",
        "ff0e::1",
        "::ffff:224.0.0.1",
    ],
}


@pytest.mark.parametrize(
    ("address", "kind"),
    [(address, kind) for kind, addresses in ADDRESSES.items() for address in addresses],
)
def test_every_address_is_of_one_kind(address, kind):
    assert kind_of(address) is kind


@pytest.mark.parametrize(
    ("address", "kind"),
    [(address, kind) for kind, addresses in ADDRESSES.items() for address in addresses],
)
def test_public_means_public_addresses_only(address, kind):
    verdict = EgressPolicy().decide("example.com", 443)
    assert verdict.allowed
    assert verdict.admits(address) is (kind is Kind.PUBLIC)
    literal = EgressPolicy().decide(address.partition("%")[0], 443)
    assert (literal.allowed and literal.admits(address)) is (kind is Kind.PUBLIC)


@pytest.mark.parametrize("port", [22, 80, 443])
def test_open_ports(port):
    assert EgressPolicy().decide("example.com", port).allowed


@pytest.mark.parametrize("port", [1, 21, 25, 53, 8080, 8443, 65535])
def test_closed_ports_say_which_are_open(port):
    verdict = EgressPolicy().decide("example.com", port)
    assert not verdict.allowed
    assert verdict.reason == f"port {port} is closed"
    assert "22, 80 and 443" in verdict.advice


def test_the_machine_itself_is_reached_only_where_a_key_names_it():
    policy = EgressPolicy([AllowedTarget.from_url("http://localhost:11434/v1")])
    verdict = policy.decide("Host.LeBureau.internal.", 11434)
    assert verdict.allowed
    assert verdict.address == "127.0.0.1"
    assert verdict.admits("127.0.0.1")
    assert not verdict.admits("8.8.8.8")
    for host, port in [
        (HOST_NAME, 11435),
        (HOST_NAME, 80),
        ("localhost", 11434),
        ("127.0.0.1", 11434),
    ]:
        assert not policy.decide(host, port).allowed


def test_a_private_name_of_a_key_leads_to_private_addresses_and_never_to_this_machine():
    verdict = EgressPolicy([AllowedTarget("llm.corp.lan", 8000)]).decide("LLM.corp.lan", 8000)
    assert verdict.admits("10.1.2.3")
    assert verdict.admits("8.8.8.8")
    for address in ("127.0.0.1", "127.0.1.1", "169.254.169.254", "fd00:ec2::254", "169.254.1.1"):
        assert not verdict.admits(address)


def test_a_name_from_somebody_who_may_not_open_the_private_network():
    target = AllowedTarget("evil.example", 8000, private=False)
    verdict = EgressPolicy([target]).decide("evil.example", 8000)
    assert verdict.admits("8.8.8.8")
    assert not verdict.admits("10.1.2.3")


def test_an_address_of_a_key():
    policy = EgressPolicy([AllowedTarget("192.168.7.7", 8000), AllowedTarget("fd12::7", 8000)])
    assert policy.decide("192.168.7.7", 8000).address == "192.168.7.7"
    assert policy.decide("[fd12::7]", 8000).admits("fd12::7")
    assert not policy.decide("192.168.7.8", 8000).allowed
    assert not policy.decide("192.168.7.7", 443).allowed


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "fe80::1"])
def test_no_key_opens_metadata_or_link_local_addresses(address):
    verdict = EgressPolicy([AllowedTarget(address, 80)]).decide(address, 80)
    assert not verdict.admits(address)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://localhost:11434/v1", HOST_NAME, 11434),
        ("http://127.0.0.1/v1", HOST_NAME, 80),
        ("http://[::1]:9/v1", HOST_NAME, 9),
        ("https://API.Example.com./v1?x=1", "api.example.com", 443),
        ("http://user:secret@llm.lan:8000/", "llm.lan", 8000),
        ("http://[fd12:0::7]:8000/", "fd12::7", 8000),
        ("https://bücher.example/", "xn--bcher-kva.example", 443),
    ],
)
def test_the_target_of_a_base_url(url, host, port):
    target = AllowedTarget.from_url(url)
    assert (target.host, target.port) == (host, port)


@pytest.mark.parametrize(
    "url", ["", "ftp://example.com", "http://", "example.com:80", "http://x:99999"]
)
def test_what_is_no_base_url(url):
    with pytest.raises(ValueError, match=r".+"):
        AllowedTarget.from_url(url)


def test_hosts_are_compared_in_one_form():
    assert normal_host("[2001:DB8::0001]") == "2001:db8::1"
    assert normal_host("Example.COM.") == "example.com"
