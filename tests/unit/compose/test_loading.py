from __future__ import annotations

from typing import Any

import pytest

from fairlead.compose.errors import ComposeError
from unit.compose.files import load


def service(text: str, **more: Any) -> dict[str, Any]:
    lines = "\n".join(f"    {line}" for line in text.splitlines())
    found: dict[str, Any] = load(f"services:\n  web:\n    image: i\n{lines}\n", **more)["services"]["web"]
    return found


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("80", [{"target": 80}]),
        ('"8080:80"', [{"target": 80, "published": "8080"}]),
        ('"127.0.0.1:8080:80/udp"', [{"target": 80, "published": "8080", "host_ip": "127.0.0.1", "protocol": "udp"}]),
        ('"[::1]:8080:80"', [{"target": 80, "published": "8080", "host_ip": "::1"}]),
        ('"127.0.0.1::80"', [{"target": 80, "host_ip": "127.0.0.1"}]),
        ('"3000-3001:80-81"', [{"target": 80, "published": "3000"}, {"target": 81, "published": "3001"}]),
        ('"3000-3005:80"', [{"target": 80, "published": "3000-3005"}]),
        ("{target: 80, published: 8080, mode: host}", [{"target": 80, "published": 8080, "mode": "host"}]),
    ],
)
def test_ports(short: str, long: list[dict[str, Any]]) -> None:
    assert service(f"ports: [{short}]")["ports"] == [{"protocol": "tcp", "mode": "ingress", **port} for port in long]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("/anon", {"type": "volume", "target": "/anon"}),
        ("data:/d:ro", {"type": "volume", "source": "data", "target": "/d", "read_only": True}),
        ("data:/d:nocopy", {"type": "volume", "source": "data", "target": "/d", "volume": {"nocopy": True}}),
        ("./x:/d", {"type": "bind", "source": "/p/x", "target": "/d", "bind": {"create_host_path": True}}),
        ("~/x:/d", {"type": "bind", "source": "/root/x", "target": "/d", "bind": {"create_host_path": True}}),
        (
            "/x:/d:ro,rshared,Z",
            {
                "type": "bind",
                "source": "/x",
                "target": "/d",
                "read_only": True,
                "bind": {"create_host_path": True, "propagation": "rshared", "selinux": "Z"},
            },
        ),
    ],
)
def test_volumes(short: str, long: dict[str, Any]) -> None:
    assert service(f"volumes: ['{short}']")["volumes"] == [long]


def test_lists_and_words_become_mappings() -> None:
    found = service(
        "environment: [A=1, B]\n"
        "labels: {x: 1, y: true}\n"
        "depends_on: [db]\n"
        "networks: [front]\n"
        "extra_hosts: ['h=1.2.3.4', 'h:fd00::1']\n"
        "ulimits: {nofile: 5}\n"
        "env_file: a.env\n"
        "secrets: [token]\n"
        "build: ./dir\n"
        "dns: 1.1.1.1\n"
    )
    assert found["environment"] == {"A": "1", "B": None}
    assert found["labels"] == {"x": "1", "y": "true"}
    assert found["depends_on"] == {"db": {"condition": "service_started", "required": True}}
    assert found["networks"] == {"front": None}
    assert found["extra_hosts"] == {"h": ["1.2.3.4", "fd00::1"]}
    assert found["ulimits"] == {"nofile": {"soft": 5, "hard": 5}}
    assert found["env_file"] == [{"path": "/p/a.env", "required": True}]
    assert found["secrets"] == [{"source": "token"}]
    assert found["build"] == {"context": "/p/dir"}
    assert found["dns"] == ["1.1.1.1"]


def test_a_later_file_changes_and_adds() -> None:
    base = """
services:
  web:
    image: one
    command: [a, b]
    environment: {A: 1, B: 2}
    ports: ["80:80", "81:81"]
    volumes: ["a:/a", "b:/b"]
    dns: [1.1.1.1]
    logging: {driver: json-file, options: {max-size: 1m}}
volumes: {a: , b: , c: }
"""
    over = """
services:
  web:
    image: two
    command: [c]
    environment: [B=3]
    ports: ["81:81", "82:82"]
    volumes: ["c:/b:ro"]
    dns: [1.1.1.1, 8.8.8.8]
    logging: {driver: none}
  db: {image: pg}
"""
    found = load(base, over)["services"]
    web = found["web"]
    assert (web["image"], web["command"], web["environment"]) == ("two", ["c"], {"A": "1", "B": "3"})
    assert [port["target"] for port in web["ports"]] == [80, 81, 82]
    assert [(mount["source"], mount["target"]) for mount in web["volumes"]] == [("a", "/a"), ("c", "/b")]
    assert web["dns"] == ["1.1.1.1", "8.8.8.8"]
    assert web["logging"] == {"driver": "none"}
    assert list(found) == ["web", "db"]


def test_reset_and_override() -> None:
    base = "services: {web: {image: i, ports: ['80:80'], environment: {A: 1, B: 2}, command: x}}"
    over = "services: {web: {ports: !override ['90:90'], environment: {A: !reset null}, command: !reset null}}"
    web = load(base, over)["services"]["web"]
    assert [port["target"] for port in web["ports"]] == [90]
    assert web["environment"] == {"B": "2"}
    assert "command" not in web


def test_extends_in_the_same_file_and_in_another() -> None:
    found = load(
        "services:\n"
        "  base: {image: i, environment: {A: 1}}\n"
        "  web: {extends: base, environment: {B: 2}}\n"
        "  api: {extends: {file: sub/base.yaml, service: app}, image: mine}\n",
        sub__base_yaml="services:\n  app: {extends: root, env_file: e.env}\n  root: {image: r, labels: {x: y}}\n",
    )["services"]
    assert found["web"] == {"image": "i", "environment": {"A": "1", "B": "2"}}
    assert found["api"]["image"] == "mine"
    assert found["api"]["labels"] == {"x": "y"}
    assert found["api"]["env_file"][0]["path"] == "/p/sub/e.env"


def test_include_has_its_own_directory_and_variables() -> None:
    found = load(
        "include: [sub/c.yaml]\nservices: {web: {image: i}}\n",
        sub__c_yaml="services: {inc: {image: 'x:${TAG}', volumes: ['./d:/d']}}\nnetworks: {n: {}}\n",
        sub___env="TAG=7\n",
    )
    assert found["services"]["inc"]["image"] == "x:7"
    assert found["services"]["inc"]["volumes"][0]["source"] == "/p/sub/d"
    assert set(found["services"]) == {"inc", "web"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services:\n  web:\n    imge: x\n", "0.yaml:3:5: services.web.imge: no such key; did you mean image?"),
        ("services:\n  web:\n    ports: 80\n", "0.yaml:3:12: services.web.ports must be a list, not 80"),
        ("services:\n  web: [a]\n", "0.yaml:2:8: services.web must be a mapping, not a list"),
        ("services: {web: {image: i, ports: ['a:b']}}", '"a:b" is not a port'),
        ("services: {web: {image: i, ports: ['1-3:1-2']}}", "the two ranges are of different length"),
        ("services: {web: {image: i, volumes: ['a:b:c:d']}}", '"a:b:c:d" is not a volume'),
        ("services: {web: {image: i, volumes: ['a:/b:wrong']}}", "no volume has the mode wrong"),
        ("services: {web: {image: i, volumes: [{type: bind}]}}", "needs target"),
        ("services: {web: {image: i, depends_on: {db: {condition: ok}}}}", "must be one of service_started"),
        ("services: {web: {image: i, extra_hosts: [nonsense]}}", "is not a host and an address"),
        ("services: {a: {extends: b}, b: {extends: a}}", "extends itself"),
        ("services: {a: {extends: b}}", "service b, which a extends, is not in 0.yaml"),
        ("services: {a: {extends: {service: b, file: no.yaml}}}", "/p/no.yaml: no such file or directory"),
        ("include: [0.yaml]", "includes itself"),
        ("include: [no.yaml]", "/p/no.yaml: no such file or directory"),
        ("services: {web: {image: '${TAG:?which?}'}}", "0.yaml:1:25: required variable TAG is missing a value: which?"),
        ("version: 3\nservices: {}\nmachines: {}", "machines: no such key"),
        ("services: {web: {image: true}}", "services.web.image must be text, not true"),
    ],
)
def test_mistakes_are_said_with_file_line_and_column(text: str, said: str) -> None:
    with pytest.raises(ComposeError) as caught:
        load(text)
    assert said in str(caught.value)


def test_extensions_are_nobodys_business() -> None:
    assert load("x-any: {a: [1]}\nservices: {web: {image: i, x-more: 1}}")["services"]["web"]["x-more"] == 1


def test_includes_that_define_the_same_are_refused() -> None:
    with pytest.raises(ComposeError, match=r"services\.web conflicts"):
        load("include: [a.yaml]\nservices: {web: {image: i}}", a_yaml="services: {web: {image: other}}")
