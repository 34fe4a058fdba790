"""The ``fairlead`` command: finds the verb, runs it and turns what goes wrong into a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fairlead.cli.catalog import GROUPS, Entry, find, find_in, load_flags
from fairlead.cli.command import Command, Context, check_arguments
from fairlead.cli.errors import BadArguments, BadFlag, CommandError
from fairlead.cli.flags import Flag, HelpAsked, Values, parse, several, switch, text

if TYPE_CHECKING:
    from fairlead.client import Client
    from fairlead.client.address import Tls

_FLAG_ERROR = 125
_INTERRUPTED = 130

GLOBAL_FLAGS: Sequence[Flag] = (
    text("config", "Location of client config files"),
    switch("debug", "Enable debug mode", "D"),
    several("host", "Daemon socket to connect to", "H"),
    text("log-level", 'Set the logging level ("debug", "info", "warn", "error", "fatal")', "l", "info"),
    switch("tls", "Use TLS; implied by --tlsverify"),
    text("tlscacert", "Trust certs signed only by this CA"),
    text("tlscert", "Path to TLS certificate file"),
    text("tlskey", "Path to TLS key file"),
    switch("tlsverify", "Use TLS and verify the remote"),
    switch("version", "Print version information and quit", "v"),
)


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command; the result is the exit code."""
    given = sys.argv[1:] if words is None else words
    try:
        code = _run(given, os.environ)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output went away (`fairlead logs | head`): nothing more to say, nor to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def _run(words: Sequence[str], environment: Mapping[str, str]) -> int:
    try:
        options, rest = parse(GLOBAL_FLAGS, words, interspersed=False)
    except HelpAsked:
        return _show_root_help(0)
    except BadFlag as wrong:
        return _complain(f"{wrong}\n\nUsage:  fairlead [OPTIONS] COMMAND\n\nRun 'fairlead --help' for more information")
    if options.switch("version"):
        return _show_version()
    if not rest:
        return _show_root_help(0)
    return _dispatch(options, rest, environment)


def _dispatch(options: Values, words: Sequence[str], environment: Mapping[str, str]) -> int:
    name, *rest = words
    if name == "help":
        return _dispatch(options, [*rest, "--help"], environment) if rest else _show_root_help(0)
    make_client = _client_maker(options, environment)
    if name not in GROUPS:
        entry = find(name)
        if entry is None:
            return _unknown(f"fairlead {name}", "fairlead")
        return _call(entry, Context(make_client, environment, f"fairlead {name}"), rest)
    if not rest or rest[0] in {"--help", "-h"}:
        return _show_group_help(name)
    group: Values | None = None
    if GROUPS[name].flags:
        try:
            group, rest = parse(load_flags(GROUPS[name]), rest, interspersed=False)
        except HelpAsked:
            return _show_group_help(name)
        except BadFlag as wrong:
            return _complain(f"{wrong}\n\nRun 'fairlead {name} --help' for more information", _FLAG_ERROR)
        if not rest:
            return _show_group_help(name)
    entry = find_in(GROUPS[name], rest[0])
    if entry is None:
        return _unknown(f"fairlead {name} {rest[0]}", f"fairlead {name}")
    context = Context(make_client, environment, f"fairlead {name} {rest[0]}")
    context.group = group
    return _call(entry, context, rest[1:])


def _call(entry: Entry, context: Context, words: Sequence[str]) -> int:
    from fairlead.client.errors import ClientError  # noqa: PLC0415 - the client is loaded with the first command

    command = entry.load()
    try:
        values, arguments = parse(command.flags, words, interspersed=command.interspersed)
        check_arguments(context.path, command.arguments, arguments)
        return command.run(context, values, arguments) or 0
    except HelpAsked:
        return _show_command_help(entry, context, command)
    except BadFlag as wrong:
        return _complain(_with_usage(context, command, str(wrong)), _FLAG_ERROR)
    except BadArguments as wrong:
        verb = "See" if command.arguments.is_open else "Run"
        return _complain(_with_usage(context, command, f"fairlead: {wrong}", verb))
    except CommandError as wrong:
        return _complain(str(wrong), wrong.code)
    except ClientError as wrong:
        return _complain(_sentence(context, command, str(wrong)), command.failure)


def _sentence(context: Context, command: Command, message: str) -> str:
    if command.failure == 1:
        return message
    return f"fairlead: {message}\n\nRun '{context.path} --help' for more information"


def _with_usage(context: Context, command: Command, message: str, verb: str = "Run") -> str:
    from fairlead.cli.help import usage_line  # noqa: PLC0415 - only after a mistake

    usage = usage_line(context.path, command)
    return f"{message}\n\n{usage}\n\n{verb} '{context.path} --help' for more information"


def _complain(message: str, code: int = 1) -> int:
    sys.stdout.flush()
    if message:
        sys.stderr.write(message + "\n")
    return code


def _unknown(called: str, parent: str) -> int:
    return _complain(f"fairlead: unknown command: {called}\n\nRun '{parent} --help' for more information")


def _show_root_help(code: int) -> int:
    from fairlead.cli.help import root_help  # noqa: PLC0415 - only for help

    sys.stdout.write(root_help(GLOBAL_FLAGS))
    return code


def _show_group_help(name: str) -> int:
    from fairlead.cli.help import group_help  # noqa: PLC0415 - only for help

    sys.stdout.write(group_help(name))
    return 0


def _show_command_help(entry: Entry, context: Context, command: Command) -> int:
    from fairlead.cli.help import command_help  # noqa: PLC0415 - only for help

    sys.stdout.write(command_help(context.path, entry, command))
    return 0


def _show_version() -> int:
    from fairlead import __version__  # noqa: PLC0415 - only for --version

    sys.stdout.write(f"fairlead version {__version__}\n")
    return 0


def _client_maker(options: Values, environment: Mapping[str, str]) -> Callable[[], Client]:
    def make() -> Client:
        from fairlead.client import Client  # noqa: PLC0415 - help and completion need no client
        from fairlead.client.address import choose, parse  # noqa: PLC0415
        from fairlead.client.client import API_VERSION  # noqa: PLC0415

        hosts = options.list("host")
        if len(hosts) > 1:
            raise CommandError("Specify only one -H")
        tls = _tls(options, environment)
        address = parse(choose(hosts[0] if hosts else "", environment), tls=tls is not None)
        return Client(address, tls, environment.get("DOCKER_API_VERSION") or API_VERSION)

    return make


def _tls(options: Values, environment: Mapping[str, str]) -> Tls | None:
    """The certificates to use over TCP: flags first, then the directory in DOCKER_CERT_PATH."""
    from fairlead.client.address import Tls  # noqa: PLC0415 - loaded with the client

    verify = options.switch("tlsverify") or bool(environment.get("DOCKER_TLS_VERIFY"))
    if not verify and not options.switch("tls"):
        return None
    folder = environment.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")
    return Tls(
        verify,
        options.text("tlscacert") or os.path.join(folder, "ca.pem"),
        options.text("tlscert") or os.path.join(folder, "cert.pem"),
        options.text("tlskey") or os.path.join(folder, "key.pem"),
    )


if __name__ == "__main__":
    sys.exit(main())
