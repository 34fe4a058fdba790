"""Completion for bash, zsh and fish: the shell asks ``fairlead __complete``, which asks the engine for names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from fairlead.cli.catalog import GROUPS, Entry, find, find_in, groups
from fairlead.cli.command import ONE, Arguments, Command, Context
from fairlead.cli.errors import CommandError
from fairlead.cli.flags import Flag, Values
from fairlead.client import ClientError

_BASH = """\
# bash completion for fairlead; load it with: source <(fairlead completion bash)
_fairlead() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        [ "$line" = ":files" ] && { compopt -o default; return; }
        COMPREPLY+=("${line%%$'\\t'*}")
    done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    case "${COMPREPLY[0]-}" in *=) compopt -o nospace ;; esac
}
complete -F _fairlead fairlead
"""
_ZSH = """\
#compdef fairlead
# zsh completion for fairlead; load it with: source <(fairlead completion zsh)
_fairlead() {
    local -a found
    local line
    while IFS= read -r line; do
        [[ "$line" == ":files" ]] && { _files; return }
        found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
    done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    _describe 'fairlead' found
}
compdef _fairlead fairlead
"""
_FISH = """\
# fish completion for fairlead; load it with: fairlead completion fish | source
function __fairlead_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] __complete -- $words[2..-1] 2>/dev/null)
    if contains -- :files $found
        __fish_complete_path (commandline -ct)
        return
    end
    printf '%s\\n' $found
end
complete -c fairlead -f -a '(__fairlead_complete)'
"""
SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def _script(context: Context, _values: Values, arguments: list[str]) -> None:
    shell = arguments[0]
    if shell not in SCRIPTS:
        raise CommandError(f"unknown shell: {shell}: one of {', '.join(SCRIPTS)}")
    context.write(SCRIPTS[shell])


def _complete(context: Context, _values: Values, words: list[str]) -> None:
    for candidate in candidates(context, words or [""]):
        context.print(candidate)


def candidates(context: Context, words: Sequence[str]) -> list[str]:
    """What the last word may become, each with a tab and an explanation; ``:files`` lets the shell offer paths."""
    *before, current = words
    found = _offers(context, before, current)
    return [offer for offer in found if offer.partition("\t")[0].startswith(current) or offer == ":files"]


def _offers(context: Context, before: Sequence[str], current: str) -> list[str]:
    from fairlead.cli.main import GLOBAL_FLAGS  # noqa: PLC0415 - main loads us

    names, rest = _positional(GLOBAL_FLAGS, before)
    if not names:
        if rest is not None:
            return []
        return _flags(GLOBAL_FLAGS) if current.startswith("-") else _commands()
    noun, *verbs = names
    if noun in GROUPS:
        if not verbs:
            return [f"{name}\t{entry.short}" for name, entry in GROUPS[noun].entries.items()]
        entry, arguments = find_in(GROUPS[noun], verbs[0]), before[list(before).index(verbs[0]) + 1 :]
    else:
        entry, arguments = find(noun), before[list(before).index(noun) + 1 :]
    return _for_command(context, entry, arguments, current) if entry is not None else []


def _commands() -> list[str]:
    nouns = [f"{name}\t{group.short}" for name, group in GROUPS.items()]
    return sorted([*nouns, *(f"{name}\t{entry.short}" for name, entry in groups().items())])


def _for_command(context: Context, entry: Entry, before: Sequence[str], current: str) -> list[str]:
    command = entry.load()
    arguments, waiting = _positional(command.flags, before)
    if waiting is not None:
        return _values(context, waiting.completes)
    if current.startswith("-") and (command.interspersed or not arguments):
        return _flags(command.flags)
    kinds = command.completes.split(",")
    kind = kinds[min(len(arguments), len(kinds) - 1)]
    if len(arguments) >= command.arguments.most or (not command.interspersed and arguments):
        return [":files"] if not command.interspersed else []
    return [offer for offer in _values(context, kind) if offer.partition("\t")[0] not in arguments]


def _positional(flags: Sequence[Flag], words: Sequence[str]) -> tuple[list[str], Flag | None]:
    """The arguments among ``words``, and the flag whose value comes next."""
    long = {f"--{flag.name}": flag for flag in flags}
    short = {flag.short: flag for flag in flags if flag.short}
    arguments: list[str] = []
    waiting: Flag | None = None
    for word in words:
        if waiting is not None:
            waiting = None
        elif word.startswith("--"):
            flag = long.get(word)
            waiting = flag if flag is not None and flag.kind != "bool" else None
        elif word.startswith("-") and len(word) > 1:
            flag = short.get(word[-1])
            waiting = flag if flag is not None and flag.kind != "bool" else None
        else:
            arguments.append(word)
    return arguments, waiting


def _flags(flags: Sequence[Flag]) -> list[str]:
    return [f"--{flag.name}\t{flag.help.partition(chr(10))[0]}" for flag in flags if not flag.hidden]


def _values(context: Context, kind: str) -> list[str]:
    """Names from the engine; none when it does not answer."""
    if kind == "files":
        return [":files"]
    ask = _ASK.get(kind)
    if ask is None:
        return []
    try:
        return list(ask(context))
    except (ClientError, OSError):
        return []


def _containers(*states: str) -> Callable[[Context], Iterator[str]]:
    def ask(context: Context) -> Iterator[str]:
        found = context.client.get("/containers/json", {"all": True})
        assert isinstance(found, list)
        for container in found:
            if not states or container.get("State") in states:
                yield from (f"{name.removeprefix('/')}\t{container.get('Image', '')}" for name in container["Names"])

    return ask


def _images(context: Context) -> Iterator[str]:
    found = context.client.get("/images/json")
    assert isinstance(found, list)
    for image in found:
        yield from (name for name in image.get("RepoTags") or [] if name != "<none>:<none>")


def _networks(context: Context) -> Iterator[str]:
    found = context.client.get("/networks")
    assert isinstance(found, list)
    yield from (f"{network['Name']}\t{network.get('Driver', '')}" for network in found)


def _volumes(context: Context) -> Iterator[str]:
    found = context.client.get("/volumes")
    assert isinstance(found, dict)
    yield from (str(volume["Name"]) for volume in found.get("Volumes") or [])


_ASK: Mapping[str, Callable[[Context], Iterator[str]]] = {
    "containers": _containers(),
    "running": _containers("running", "paused"),
    "paused": _containers("paused"),
    "stopped": _containers("created", "exited"),
    "images": _images,
    "networks": _networks,
    "volumes": _volumes,
}

COMPLETION = Command("SHELL", _script, (), ONE, "Generate the completion script for bash, zsh or fish")
COMPLETE = Command("-- WORD...", _complete, (), Arguments(0, 1 << 30))
