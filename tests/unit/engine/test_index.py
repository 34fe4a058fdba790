"""engine.index: what follows from the records stays true over saving, moving and deleting."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest

from fairlead.engine import index as index_module
from fairlead.engine.index import Index
from fairlead.errors import Conflict, InvalidArgument, NotFound
from fairlead.ids import ContainerId, EndpointId, NetworkId
from fairlead.model.container import Config, Container, ContainerSpec, HostConfig
from fairlead.model.endpoint import Endpoint
from fairlead.model.port import ContainerPort, PortBinding, Protocol
from fairlead.store import Store

NET = NetworkId("d" * 64)


@pytest.fixture
def index() -> Iterator[Index]:
    store = Store(":memory:")
    yield Index(store)
    store.close()


def container(digit: str, name: str, address: str = "", port: int = 0) -> Container:
    identifier = ContainerId(digit * 64)
    endpoints = (endpoint(identifier, address, port),) if address else ()
    spec = ContainerSpec(config=Config(), host=HostConfig())
    return Container(id=identifier, name=name, created=1, image="sha256:0", spec=spec, endpoints=endpoints)


def endpoint(owner: ContainerId, address: str, port: int) -> Endpoint:
    bindings = (PortBinding(container=ContainerPort(port=80), host_ip=ip_address("0.0.0.0"), host_port=port),)
    return Endpoint(
        id=EndpointId(f"{int(ip_address(address)):064x}"),
        network=NET,
        container=owner,
        mac="02:00:00:00:00:01",
        addresses=(ip_interface(f"{address}/24"),),
        published=bindings if port else (),
    )


def test_addresses_and_ports_follow_the_record(index: Index) -> None:
    web = index.save(container("a", "web", "10.0.0.2", 8080))
    assert dict(index.used(NET)) == {ip_address("10.0.0.2"): web.id}
    assert dict(index.ports_in_use(Protocol.TCP, 8080)) == {ip_address("0.0.0.0"): web.id}
    assert dict(index.ports_in_use(Protocol.UDP, 8080)) == {}
    moved = index.save(replace(web, endpoints=(endpoint(web.id, "10.0.0.3", 8081),)))
    assert list(index.used(NET)) == [ip_address("10.0.0.3")]
    assert dict(index.ports_in_use(Protocol.TCP, 8080)) == {}
    index.delete(moved)
    assert dict(index.used(NET)) == {}
    assert dict(index.endpoints(NET)) == {}


def test_a_freed_address_rests_and_a_kept_one_does_not(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    web = index.save(container("a", "web", "10.0.0.2"))
    index.save(replace(web, name="shop"))
    assert dict(index.resting(NET)) == {}
    index.save(replace(web, endpoints=()))
    assert list(index.resting(NET)) == [ip_address("10.0.0.2")]
    monkeypatch.setattr(index_module, "ADDRESS_REST", -1.0)
    assert dict(index.resting(NET)) == {}


def test_the_longest_rested_comes_first(index: Index) -> None:
    for digit, address in (("a", "10.0.0.9"), ("b", "10.0.0.2")):
        index.delete(index.save(container(digit, digit, address)))
    assert list(index.resting(NET)) == [ip_address("10.0.0.9"), ip_address("10.0.0.2")]
    index.forget_network(NET)
    assert dict(index.resting(NET)) == {}


def test_ports_of_two_containers_with_one_number(index: Index) -> None:
    """Routed networks show port 0: any number of containers may."""
    one = index.save(container("a", "one", "10.0.0.2"))
    zero = replace(endpoint(one.id, "10.0.0.2", 1).published[0], host_port=0)
    one = index.save(replace(one, endpoints=(replace(one.endpoints[0], published=(zero,)),)))
    two = container("b", "two", "10.0.0.3")
    two = index.save(replace(two, endpoints=(replace(two.endpoints[0], published=(zero,)),)))
    index.delete(one)
    index.delete(two)
    assert dict(index.ports_in_use(Protocol.TCP, 0)) == {}


def test_found_by_id_name_and_unique_prefix(index: Index) -> None:
    web = index.save(container("a", "web"))
    index.save(replace(container("a", "other"), id=ContainerId("a" * 63 + "b")))
    assert index.find("web") == index.find("/web") == index.find(web.id) == web
    with pytest.raises(InvalidArgument, match="multiple IDs"):
        index.find("aa")
    with pytest.raises(NotFound, match="No such container: zz"):
        index.find("zz")
    with pytest.raises(NotFound):
        index.find("")


def test_a_name_is_free_again_after_rename_and_removal(index: Index) -> None:
    web = index.save(container("a", "web"))
    with pytest.raises(Conflict, match="already in use"):
        index.check_name_free("web")
    shop = index.save(replace(web, name="shop"))
    index.check_name_free("web")
    index.delete(shop)
    index.check_name_free("shop")


def test_all_of_it_is_there_for_the_next_daemon() -> None:
    store = Store(":memory:")
    Index(store).save(container("a", "web", "10.0.0.2", 8080))
    again = Index(store)
    assert again.by_name("web") is not None
    assert list(again.used(NET)) == [ip_address("10.0.0.2")]
    assert again.ports_in_use(Protocol.TCP, 8080)
    store.close()
