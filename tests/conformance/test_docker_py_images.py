"""docker-py on images: in and out, names, history, removal, pulls from a registry with credentials."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import docker
import pytest
from docker.errors import APIError, ImageNotFound, NotFound

from harness import images
from harness.engine import Engine, wait_until

PORT = 5000
REGISTRY = f"127.0.0.1:{PORT}"
# ann, whose password is "secret".
HTPASSWD = "ann:$2b$05$oO0Nj61dmuBeN66aELOAHODjvJQD5xjKBtWlq7rkXFwMijhpmRx1q\n"
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {base}/registry}}}}
http: {{addr: "{address}"}}
auth: {{htpasswd: {{realm: tests, path: {base}/htpasswd}}}}
"""
ANN = {"username": "ann", "password": "secret"}


@pytest.fixture
def high(engine: Engine) -> Iterator[docker.DockerClient]:
    with engine.high() as client:
        yield client


@pytest.fixture
def low(engine: Engine) -> Iterator[docker.APIClient]:
    with engine.low() as client:
        yield client


@pytest.fixture(autouse=True)
def no_image_is_left(engine: Engine) -> Iterator[None]:
    """Every test takes away the images it brought."""
    before = set(engine.out("images", "-aq", "--no-trunc").split())
    names = set(engine.out("images", "--format", "{{.Repository}}:{{.Tag}}").split())
    yield
    engine.clear()
    for name in set(engine.out("images", "--format", "{{.Repository}}:{{.Tag}}").split()) - names:
        if "<none>" not in name:
            engine.docker("rmi", "-f", name, check=False)
    for image in set(engine.out("images", "-aq", "--no-trunc").split()) - before:
        engine.docker("rmi", "-f", image, check=False)
    assert set(engine.out("images", "-aq", "--no-trunc").split()) == before


def tar_of(**files: str) -> bytes:
    layer = images.Layer()
    for name, content in files.items():
        layer.file(name, content)
    return layer.bytes()


def small(*names: str, layers: Sequence[bytes] = (), **config: Any) -> images.Recipe:
    return images.Recipe(names=names, layers=layers or [tar_of(made="x")], config=config)


def status_events(lines: Iterator[dict[str, Any]] | Sequence[dict[str, Any]]) -> list[str]:
    return [line["status"] for line in lines if "status" in line]


# -- making


def test_load_tells_what_it_loaded(high: docker.DockerClient) -> None:
    recipe = small("made:1", "made:2")
    loaded = high.images.load(images.archive([recipe, small("other:1", layers=[tar_of(other="y")])]))
    assert {tag for image in loaded for tag in image.tags} == {"made:1", "made:2", "other:1"}
    assert high.images.get("made:1").id == recipe.id


def test_an_archive_without_names(high: docker.DockerClient) -> None:
    recipe = small()
    (image,) = high.images.load(images.archive([recipe]))
    assert (image.id, image.tags) == (recipe.id, [])
    assert high.images.get(recipe.id[:20]).id == recipe.id


def test_load_takes_a_name_from_its_old_image(high: docker.DockerClient) -> None:
    first, second = small("made:1"), small("made:1", layers=[tar_of(made="y")])
    high.images.load(images.archive([first]))
    high.images.load(images.archive([second]))
    assert high.images.get("made:1").id == second.id
    assert high.images.get(first.id).tags == []
    assert [item.id for item in high.images.list(filters={"dangling": True})] == [first.id]


def test_an_oci_layout(engine: Engine, high: docker.DockerClient) -> None:
    if not shutil.which("skopeo"):
        pytest.skip("needs skopeo")
    packed, layout = engine.base / "docker.tar", engine.base / "oci.tar"
    packed.write_bytes(images.archive([small("made:1")]))
    engine.host.run("skopeo", "copy", "--insecure-policy", f"docker-archive:{packed}", f"oci-archive:{layout}:made:oci")
    (image,) = high.images.load(layout.read_bytes())
    assert image.tags == ["made:oci"]


def test_save_and_load_give_the_same(high: docker.DockerClient) -> None:
    before = high.images.load(images.archive([small("made:1", "made:2", Labels={"a": "b"}, Env=["A=b"])]))[0]
    packed = b"".join(before.save(named=True))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        names = tar.getnames()
        stream = tar.extractfile("manifest.json")
        assert stream is not None
        (entry,) = json.load(stream)
        layer = tar.extractfile(entry["Layers"][0])
        assert layer is not None
        content = layer.read()
    assert {"index.json", "oci-layout"} <= set(names)
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == before.attrs["RootFS"]["Layers"][0]
    high.images.remove("made:1")
    high.images.remove("made:2")
    (after,) = high.images.load(packed)
    assert (after.id, after.labels) == (before.id, {"a": "b"})


def test_save_by_id_keeps_no_name(high: docker.DockerClient, low: docker.APIClient) -> None:
    image = high.images.load(images.archive([small("made:1")]))[0]
    packed = b"".join(low.get_image(image.id))
    high.images.remove("made:1")
    (again,) = high.images.load(packed)
    assert (again.id, again.tags) == (image.id, [])


def test_import(low: docker.APIClient, engine: Engine) -> None:
    path = engine.base / "root.tar"
    path.write_bytes(tar_of(etc="x"))
    reply = low.import_image(str(path), repository="made", tag="1", changes=["ENV A=b", "EXPOSE 80", "WORKDIR /w"])
    identifier = json.loads(reply.splitlines()[-1])["status"]
    found = low.inspect_image("made:1")
    assert (found["Id"], found["RepoTags"]) == (identifier, ["made:1"])
    assert found["Config"]["ExposedPorts"] == {"80/tcp": {}}
    assert (found["Config"]["WorkingDir"], found["Config"]["Env"]) == ("/w", ["A=b"])
    assert len(found["RootFS"]["Layers"]) == 1


def test_import_of_a_stream(low: docker.APIClient) -> None:
    reply = low.import_image_from_stream(iter([tar_of(etc="x")]), repository="made", tag="1")
    assert json.loads(reply.splitlines()[-1])["status"] == low.inspect_image("made:1")["Id"]


@pytest.mark.parametrize("change", ["NONSENSE x", "ENV", "RUN true", "EXPOSE x/y"])
def test_import_refuses_changes_it_cannot_make(low: docker.APIClient, change: str) -> None:
    with pytest.raises(APIError) as failure:
        low.import_image_from_data(tar_of(etc="x"), repository="made", changes=[change])
    assert failure.value.status_code == 400
    with pytest.raises(ImageNotFound):
        low.inspect_image("made")


def test_commit(high: docker.DockerClient, low: docker.APIClient) -> None:
    base = high.images.get("busybox")
    container = high.containers.run(
        "busybox", ["sh", "-c", "echo kept > /kept; rm /etc/group"], detach=True, environment={"A": "1"}
    )
    container.wait()
    image = container.commit(
        "made", "1", message="why", author="Ann <ann@example.test>", conf={"Labels": {"x": "y"}}, changes=["CMD pwd"]
    )
    assert image.tags == ["made:1"]
    attrs = image.attrs
    assert (attrs["Comment"], attrs["Author"], attrs["Parent"]) == ("why", "Ann <ann@example.test>", base.id)
    assert attrs["RootFS"]["Layers"][:-1] == base.attrs["RootFS"]["Layers"]
    assert image.labels == {"x": "y"}
    assert attrs["Config"]["Cmd"] == ["/bin/sh", "-c", "pwd"]
    assert high.containers.run(image, ["cat", "/kept"], remove=True) == b"kept\n"
    assert high.containers.run(image, ["sh", "-c", "ls /etc/group || echo gone"], remove=True) == b"gone\n"
    lines = image.history()
    assert (lines[0]["Id"], lines[1]["Id"]) == (image.id, base.id)
    assert lines[0]["Tags"] == ["made:1"]
    assert lines[0]["Size"] > 0


def test_a_commit_pauses_what_runs(high: docker.DockerClient, low: docker.APIClient) -> None:
    since = int(time.time()) - 1
    container = high.containers.run("busybox", "sleep 1000", detach=True)
    container.commit("made", "1")
    found = high.events(since=since, until=int(time.time()) + 1, filters={"container": container.id}, decode=True)
    actions = [event["Action"] for event in found]
    assert [action for action in actions if action in ("pause", "commit", "unpause")] == ["pause", "unpause", "commit"]
    container.reload()
    assert container.status == "running"


# -- names


def test_names(high: docker.DockerClient, low: docker.APIClient) -> None:
    image = high.images.load(images.archive([small("made:1")]))[0]
    assert image.tag("registry.example.test:5000/team/app", "2")
    assert low.tag(image.id, "docker.io/library/full", "3")
    assert low.tag("made:1", "again")
    image.reload()
    assert set(image.tags) == {"made:1", "registry.example.test:5000/team/app:2", "full:3", "again:latest"}
    assert high.images.get("docker.io/library/full:3").id == high.images.get("index.docker.io/full:3").id == image.id
    with pytest.raises(APIError, match="must be forced") as failure:
        high.images.remove(image.id)
    assert failure.value.status_code == 409
    high.images.remove("made:1")
    with pytest.raises(ImageNotFound, match="No such image: made:1"):
        high.images.get("made:1")
    high.images.remove(image.id, force=True)
    assert high.images.list(name="full") == []


@pytest.mark.parametrize(
    ("repository", "tag"),
    [("UPPER", ""), ("a b", ""), ("ok", "-bad"), ("ok", "x" * 129), ("sha256", "abc"), ("", ""), ("a" * 300, "")],
)
def test_names_that_cannot_be(low: docker.APIClient, repository: str, tag: str) -> None:
    with pytest.raises(APIError) as failure:
        low.tag("busybox", repository, tag)
    assert failure.value.status_code == 400
    assert low.inspect_image("busybox")["RepoTags"] == ["busybox:latest"]


def test_lists(high: docker.DockerClient, low: docker.APIClient) -> None:
    image = high.images.load(images.archive([small("made:1", "made:2", "team/other:1", Labels={"k": "v"})]))[0]

    def names(**filters: Any) -> set[str]:
        return {tag for item in low.images(filters=filters) for tag in item["RepoTags"]}

    assert names(reference="made") == names(reference="m?de:*") == {"made:1", "made:2"}
    assert names(reference="team/*") == {"team/other:1"}
    assert names(reference="*") == {tag for tag in names() if "/" not in tag}
    assert names(label="k=v") == names(label=["k"]) == {"made:1", "made:2", "team/other:1"}
    assert names(label="k=w") == set()
    assert "made:1" not in names(dangling=True)
    assert [item.id for item in high.images.list("made")] == [image.id]
    assert low.images(name="made", quiet=True) == [image.id]
    (entry,) = low.images(name="made")
    assert (entry["Id"], entry["Labels"], entry["Size"]) == (image.id, {"k": "v"}, image.attrs["Size"])
    for filters in ({"colour": "red"}, {"dangling": "perhaps"}, {"before": "nothing"}, {"until": "tomorrow"}):
        with pytest.raises(APIError):
            low.images(filters=filters)


def test_lists_by_age(high: docker.DockerClient) -> None:
    container = high.containers.create("busybox", "true")
    first = container.commit("made", "1")
    second = container.commit("made", "2")
    third = container.commit("made", "3")
    assert [item.id for item in high.images.list(filters={"reference": "made"})] == [third.id, second.id, first.id]
    assert [item.id for item in high.images.list(filters={"reference": "made", "before": "made:2"})] == [first.id]
    assert [item.id for item in high.images.list(filters={"since": "made:2"})] == [third.id]


def test_untagged_parents_are_shown_on_demand(high: docker.DockerClient) -> None:
    container = high.containers.create("busybox", "true")
    parent = container.commit()
    child_of = high.containers.create(parent, "true")
    child = child_of.commit("made", "1")
    assert parent.id not in {item.id for item in high.images.list()}
    assert parent.id in {item.id for item in high.images.list(all=True)}
    with pytest.raises(APIError, match="image has dependent child images"):
        high.images.remove(parent.id, force=True)
    for one in (container, child_of):
        one.remove()
    high.images.remove(child.id)
    assert parent.id not in {item.id for item in high.images.list(all=True)}  # gone with its only child


# -- removal


def test_what_a_container_uses_stays(high: docker.DockerClient) -> None:
    image = high.images.load(images.archive([small("made:1", layers=[images.base_layer()], User="0")]))[0]
    container = high.containers.run("made:1", "sleep 1000", detach=True)
    with pytest.raises(APIError, match=r"unable to remove repository reference \"made:1\" \(must force\)"):
        high.images.remove("made:1")
    with pytest.raises(APIError, match=r"cannot be forced\) - image is being used by running container"):
        high.images.remove(image.id, force=True)
    container.stop(timeout=0)
    with pytest.raises(APIError, match="image is being used by stopped container"):
        high.images.remove(image.id)
    high.images.remove("made:1", force=True)
    with pytest.raises(ImageNotFound):
        high.images.get(image.id)
    container.start()  # its root file system is its own
    assert container.exec_run("echo still").output == b"still\n"
    assert container.attrs["Image"] == image.id


def test_removal_tells_what_went(low: docker.APIClient, high: docker.DockerClient) -> None:
    image = high.images.load(images.archive([small("made:1")]))[0]
    told = low.remove_image("made:1")
    assert told[:2] == [{"Untagged": "made:1"}, {"Deleted": image.id}]
    with pytest.raises(NotFound, match="No such image"):
        low.remove_image("made:1")


def test_prune(high: docker.DockerClient) -> None:
    dangling, named = small(layers=[tar_of(a="a" * 5000)]), small("made:1", layers=[tar_of(b="b")])
    high.images.load(images.archive([dangling, named]))
    assert high.images.prune(filters={"dangling": True, "until": "2000-01-01T00:00:00Z"})["ImagesDeleted"] is None
    pruned = high.images.prune()
    assert {"Deleted": dangling.id} in pruned["ImagesDeleted"]
    assert pruned["SpaceReclaimed"] >= 5000
    assert high.images.get("made:1").id == named.id
    with pytest.raises(APIError, match="invalid filter"):
        high.images.prune(filters={"colour": "red"})


def test_prune_by_label(high: docker.DockerClient) -> None:
    keep = small("keep:1", layers=[tar_of(a="1")], Labels={"stage": "prod"})
    drop = small("drop:1", layers=[tar_of(b="1")], Labels={"stage": "test"})
    high.images.load(images.archive([keep, drop]))
    pruned = high.images.prune(filters={"dangling": False, "label": "stage=test"})
    assert {"Untagged": "drop:1"} in pruned["ImagesDeleted"]
    assert high.images.get("keep:1").id == keep.id


def test_events(high: docker.DockerClient, low: docker.APIClient) -> None:
    since = time.time()
    image = high.images.load(images.archive([small("made:1", Labels={"k": "v"})]))[0]
    image.tag("made", "2")
    b"".join(image.save())
    high.images.remove("made:2")
    high.images.remove("made:1")
    found = list(
        high.events(since=since, until=time.time() + 0.5, filters={"type": "image", "label": "k=v"}, decode=True)
    )
    assert [event["Action"] for event in found] == ["load", "tag", "save", "untag", "untag", "delete"]
    assert {event["Actor"]["ID"] for event in found} == {image.id}
    assert found[1]["Actor"]["Attributes"]["name"] == "made:2"


# -- a registry on the loopback of the engine's host


@pytest.fixture(scope="module")
def registry(running: Engine) -> Iterator[str]:
    """A registry that asks for credentials, with team/app:1, :2 and a digest."""
    program = shutil.which("docker-registry")
    if program is None or not shutil.which("skopeo"):
        pytest.skip("needs docker-registry and skopeo: ./test installs them")
    config = running.base / "registry.yml"
    config.write_text(CONFIG.format(base=running.base, address=REGISTRY))
    (running.base / "htpasswd").write_text(HTPASSWD)
    with open(running.base / "registry.log", "wb") as log:
        server = running.host.popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        wait_until(lambda: running.host.reaches("127.0.0.1", PORT), "the registry answers", 10)
        for tag in ("1", "2"):
            push(running, versioned(tag), f"team/app:{tag}")
        yield REGISTRY
    finally:
        server.kill()
        server.wait()


def versioned(tag: str) -> images.Recipe:
    return small(f"team/app:{tag}", layers=[images.base_layer(), tar_of(version=tag)])


def push(engine: Engine, recipe: images.Recipe, name: str) -> None:
    path = engine.base / "push.tar"
    path.write_bytes(images.archive([recipe]))
    options = ["-q", "--insecure-policy", "--dest-tls-verify=false", "--dest-creds=ann:secret", "--format=v2s2"]
    engine.host.run("skopeo", "copy", *options, f"docker-archive:{path}", f"docker://{REGISTRY}/{name}")


def test_pull(high: docker.DockerClient, low: docker.APIClient, registry: str) -> None:
    lines = list(low.pull(f"{registry}/team/app", tag="1", auth_config=ANN, stream=True, decode=True))
    assert status_events(lines)[0] == "Pulling from team/app"
    assert status_events(lines)[-1] == f"Status: Downloaded newer image for {registry}/team/app:1"
    ids = {line["id"] for line in lines if line.get("status") == "Pull complete"}
    assert len(ids) >= 1
    image = high.images.get(f"{registry}/team/app:1")
    assert image.id == versioned("1").id
    (digest,) = image.attrs["RepoDigests"]
    assert f"Digest: {digest.partition('@')[2]}" in status_events(lines)
    assert high.containers.run(image, "cat /version", remove=True) == b"1"
    again = status_events(low.pull(f"{registry}/team/app:1", auth_config=ANN, stream=True, decode=True))
    assert again[-1] == f"Status: Image is up to date for {registry}/team/app:1"


def test_pull_by_digest(high: docker.DockerClient, registry: str) -> None:
    (digest,) = high.images.pull(f"{registry}/team/app", tag="2", auth_config=ANN).attrs["RepoDigests"]
    high.images.remove(f"{registry}/team/app:2")
    image = high.images.pull(digest, auth_config=ANN)
    assert (image.tags, image.attrs["RepoDigests"]) == ([], [digest])
    assert high.images.get(digest).id == image.id


def test_pull_of_all_tags(high: docker.DockerClient, registry: str) -> None:
    found = high.images.pull(f"{registry}/team/app", all_tags=True, auth_config=ANN)
    assert {tag for image in found for tag in image.tags} == {f"{registry}/team/app:1", f"{registry}/team/app:2"}


@pytest.mark.parametrize("auth", [None, {"username": "ann", "password": "wrong"}])
def test_pull_without_right(low: docker.APIClient, registry: str, auth: dict[str, str] | None) -> None:
    with pytest.raises(APIError, match=r"denied|unauthorized|no basic auth"):
        low.pull(f"{registry}/team/app", tag="1", auth_config=auth)
    with pytest.raises(ImageNotFound):
        low.inspect_image(f"{registry}/team/app:1")


def test_pull_of_what_is_not_there(low: docker.APIClient, registry: str) -> None:
    with pytest.raises(NotFound, match="manifest unknown"):
        low.pull(f"{registry}/team/app", tag="9", auth_config=ANN)
    with pytest.raises(APIError, match=r"invalid reference format"):
        low.pull("Not A Name", tag="1")


def test_login(high: docker.DockerClient, registry: str) -> None:
    assert high.login("ann", "secret", registry=registry)["Status"] == "Login Succeeded"
    with pytest.raises(APIError) as failure:
        high.login("ann", "wrong", registry=registry, reauth=True)
    assert failure.value.status_code == 401


def test_pull_events(high: docker.DockerClient, registry: str) -> None:
    since = time.time()
    high.images.pull(f"{registry}/team/app", tag="1", auth_config=ANN)
    found = list(high.events(since=since, until=time.time() + 0.5, filters={"event": "pull"}, decode=True))
    assert [(event["Actor"]["ID"], event["Actor"]["Attributes"]["name"]) for event in found] == [
        (f"{registry}/team/app:1", f"{registry}/team/app")
    ]


def test_what_a_registry_has(high: docker.DockerClient, registry: str) -> None:
    found = high.images.get_registry_data(f"{registry}/team/app:1", auth_config=ANN)
    assert found.id.startswith("sha256:")
    assert found.has_platform("linux/amd64")
    with pytest.raises(APIError):
        high.images.get_registry_data(f"{registry}/team/app:9", auth_config=ANN)
