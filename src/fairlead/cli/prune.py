"""``prune`` of each noun and of everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fairlead.cli.command import NONE, Command, Context
from fairlead.cli.filters import encode, filter_flag
from fairlead.cli.flags import Flag, Values, switch
from fairlead.cli.prompt import must_confirm
from fairlead.cli.units import human_size

Filters = Sequence[tuple[str, str]]


class Pruned(NamedTuple):
    """What went, as text to show, and the bytes that are free again."""

    text: str
    space: int


def _list(title: str, names: Sequence[str]) -> str:
    return f"{title}:\n" + "".join(f"{name}\n" for name in names) + "\n" if names else ""


def _answer(context: Context, noun: str, filters: Filters) -> dict[str, object]:
    answer = context.client.post(f"/{noun}/prune", {"filters": encode(filters)})
    assert isinstance(answer, dict)
    return answer


def _names(answer: dict[str, object], field: str) -> list[str]:
    found = answer.get(field) or []
    assert isinstance(found, list)
    return [str(name) for name in found]


def _space(answer: dict[str, object]) -> int:
    freed = answer.get("SpaceReclaimed") or 0
    assert isinstance(freed, int)
    return freed


def prune_containers(context: Context, filters: Filters) -> Pruned:
    answer = _answer(context, "containers", filters)
    return Pruned(_list("Deleted Containers", _names(answer, "ContainersDeleted")), _space(answer))


def prune_networks(context: Context, filters: Filters) -> Pruned:
    return Pruned(_list("Deleted Networks", _names(_answer(context, "networks", filters), "NetworksDeleted")), 0)


def prune_volumes(context: Context, filters: Filters) -> Pruned:
    answer = _answer(context, "volumes", filters)
    return Pruned(_list("Deleted Volumes", _names(answer, "VolumesDeleted")), _space(answer))


def prune_images(context: Context, filters: Filters) -> Pruned:
    answer = _answer(context, "images", filters)
    gone = answer.get("ImagesDeleted") or []
    assert isinstance(gone, list)
    lines = [
        f"untagged: {item['Untagged']}" if item.get("Untagged") else f"deleted: {item['Deleted']}" for item in gone
    ]
    return Pruned(_list("Deleted Images", lines), _space(answer))


def _container(context: Context, values: Values, _arguments: list[str]) -> None:
    _ask(values, "WARNING! This will remove all stopped containers.")
    _report(context, prune_containers(context, values.get("filter")))


def _image(context: Context, values: Values, _arguments: list[str]) -> None:
    every = values.switch("all")
    which = "without at least one container associated to them" if every else ""
    kind = "all images" if every else "all dangling images"
    _ask(values, f"WARNING! This will remove {kind} {which}".rstrip() + ".")
    filters = [("dangling", "false" if every else "true"), *values.get("filter")]
    _report(context, prune_images(context, filters))


def _network(context: Context, values: Values, _arguments: list[str]) -> None:
    _ask(values, "WARNING! This will remove all custom networks not used by at least one container.")
    _report(context, prune_networks(context, values.get("filter")), tell_space=False)


def _volume(context: Context, values: Values, _arguments: list[str]) -> None:
    every = values.switch("all")
    kind = "all volumes" if every else "anonymous local volumes"
    _ask(values, f"WARNING! This will remove {kind} not used by at least one container.")
    filters = [*([("all", "true")] if every else []), *values.get("filter")]
    _report(context, prune_volumes(context, filters))


def _ask(values: Values, warning: str) -> None:
    must_confirm(warning, forced=values.switch("force"))


def _report(context: Context, pruned: Pruned, *, tell_space: bool = True) -> None:
    context.write(pruned.text)
    if tell_space:
        context.print(f"Total reclaimed space: {human_size(pruned.space)}")


def _system(context: Context, values: Values, _arguments: list[str]) -> None:
    _ask(values, _system_warning(values))
    filters: Filters = values.get("filter")
    unused_images = [("dangling", "false" if values.switch("all") else "true"), *filters]
    steps: list[Callable[[], Pruned]] = [
        lambda: prune_containers(context, filters),
        lambda: prune_networks(context, filters),
        *([lambda: prune_volumes(context, filters)] if values.switch("volumes") else []),
        lambda: prune_images(context, unused_images),
    ]
    space = 0
    for step in steps:
        pruned = step()
        context.write(pruned.text)
        space += pruned.space
    context.print(f"Total reclaimed space: {human_size(space)}")


def _system_warning(values: Values) -> str:
    goes = ["all stopped containers", "all networks not used by at least one container"]
    if values.switch("volumes"):
        goes.append("all anonymous volumes not used by at least one container")
    every = values.switch("all")
    goes.append("all images without at least one container associated to them" if every else "all dangling images")
    lines = "".join(f"  - {line}\n" for line in goes)
    shown = "".join(f"  - {name}={value}\n" for name, value in values.get("filter"))
    return f"WARNING! This will remove:\n{lines}" + (
        f"\n  Items to be pruned will be filtered with:\n{shown}" if shown else ""
    )


def _flags(*more: Flag, example: str = "until=<timestamp>") -> Sequence[Flag]:
    told = f'Provide filter values (e.g. "{example}")'
    return (*more, filter_flag(told, ""), switch("force", "Do not prompt for confirmation", "f"))


CONTAINER = Command("[OPTIONS]", _container, _flags(), NONE)
IMAGE = Command(
    "[OPTIONS]",
    _image,
    _flags(switch("all", "Remove all unused images, not just dangling ones", "a")),
    NONE,
)
NETWORK = Command("[OPTIONS]", _network, _flags(), NONE)
VOLUME = Command(
    "[OPTIONS]",
    _volume,
    _flags(switch("all", "Remove all unused volumes, not just anonymous ones", "a"), example="label=<label>"),
    NONE,
)
SYSTEM = Command(
    "[OPTIONS]",
    _system,
    _flags(
        switch("all", "Remove all unused images not just dangling ones", "a"),
        switch("volumes", "Prune anonymous volumes"),
        example="label=<key>=<value>",
    ),
    NONE,
)
