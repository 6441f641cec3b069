"""Settings from the command line, the environment and `config.yaml`, and that file's own text.

A flag goes over an environment variable, that over the config file, and that over the default.
Every value is kept with the place it was written at, so that an error can name it. That is why
no settings library stands between: what a person mistyped is not silently ignored here.

`python -m engine.config` prints the `config.yaml` of the defaults.
"""

import argparse
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from engine.declared import HEADINGS, PREFIX, SETTINGS, Setting
from engine.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent
"""The folder of server.py."""

DEFAULT_FILE = PROJECT / "config.yaml"
"""Read when the command line names no file; it need not exist."""

SHORT_FORMS = {
    "server.host": "--host",
    "server.port": "--port",
    "models.selected": "--model",
    "engine.kind": "--engine",
    "memory.path": "--memory",
}

SWITCHES = {"server.insecure": "--insecure"}
"""Flags without a value, which set to true."""

OWN_FLAGS = ("--config", "--check", "--help", "--version")

_DESCRIPTION = """\
Without a word before the flags it translates over HTTP, with a model that runs on this machine.

  translate   translate a text, a file or stdin here in the terminal
  models      which models there are; get, remove and check their files
  keys        make, list and remove the keys that clients need, once there are some
  memory      what the translation memory holds: count, export, import and clear it

Each of them has a --help of its own.
"""

_SOURCES = """\
A flag goes over an environment variable, that over the config file, that over the default.
The variable of --server.port is BABELBROOK_SERVER__PORT; in the file it is port, under server.
"""


class ConfigError(Exception):
    """The settings cannot be used: the start ends with status 2.

    `sentences` says what is wrong, each in one line and with the place where it was written;
    `str()` of the error joins them by newlines.
    """

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


@dataclass(frozen=True)
class CommandLine:
    """What the command line asks for, with the settings it runs with."""

    settings: Settings
    check: bool
    """Whether to check the installation and the model instead of serving."""


@dataclass(frozen=True)
class _Given:
    """A value of a setting as it was written, and where: `config.yaml, line 3: server.port`."""

    value: Any
    place: str


def load(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Read the settings. As `read_command_line`, of which this is the usual part."""
    return read_command_line(argv, environ).settings


def read_command_line(
    argv: Sequence[str], environ: Mapping[str, str], version: str = ""
) -> CommandLine:
    """Read the command line, without the program's name, and all settings.

    Only the value that counts is checked: a flag helps over a wrong value in the file.
    Unknown names are refused everywhere. `--help` and `--version` (which prints `version`) end
    the process with status 0.

    Raises ConfigError, which lists all that is wrong.
    """
    options, flags, errors = _read_flags(argv, version)
    variables, wrong_variables = _read_variables(environ)
    file = _File(options.config or DEFAULT_FILE, must_exist=options.config is not None)
    errors += wrong_variables + file.errors
    settings = _validated(file.given | variables | flags, errors)
    return CommandLine(settings, check=options.check)


def models_folder(settings: Settings) -> Path:
    """Where model files lie: `models.folder`, from the folder of server.py where relative."""
    return PROJECT / settings.models.folder


def data_folder(settings: Settings) -> Path:
    """Where what is written down lies: `data.folder`, from the folder of server.py."""
    return PROJECT / settings.data.folder


def glossaries_path(settings: Settings) -> Path:
    """Where stored glossaries lie."""
    return data_folder(settings) / "glossaries.sqlite"


def to_yaml(settings: Settings) -> str:
    """Write the settings as a config file, each with its help and the values it may have."""
    lines = [
        "# Settings of Babelbrook, each with its default.",
        *(f"# {line}" for line in _SOURCES.splitlines()),
        "# Made from engine/settings.py: python -m engine.config > config.yaml",
    ]
    section = ""
    for setting in SETTINGS.values():
        if setting.section != section:
            section = setting.section
            lines += ["", f"# {HEADINGS[section]}", f"{section}:"]
        lines.append(f"  # {setting.help}")
        lines += _yaml_lines(setting, getattr(getattr(settings, section), setting.field))
        lines[-1] += f"  # {setting.allowed}"
    return "\n".join(lines) + "\n"


def _yaml_lines(setting: Setting, value: Any) -> list[str]:
    """Write one setting at the indentation that it has under its section."""
    tree = {setting.section: {setting.field: value}}
    text: str = yaml.safe_dump(tree, sort_keys=False, width=sys.maxsize)
    return text.rstrip("\n").split("\n")[1:]


def _validated(given: Mapping[str, _Given], errors: list[str]) -> Settings:
    """Check the values that count. Raises ConfigError with `errors` and what else is wrong."""
    tree: dict[str, dict[str, Any]] = {section: {} for section in HEADINGS}
    for name, item in given.items():
        tree[SETTINGS[name].section][SETTINGS[name].field] = item.value
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(errors + _wrong_values(error, given)) from None
    if errors:
        raise ConfigError(errors)
    return settings


def _wrong_values(error: ValidationError, given: Mapping[str, _Given]) -> list[str]:
    """One sentence per setting: a union's branches and a list's items report one by one."""
    sentences: dict[str, str] = {}
    for detail in error.errors():
        name = ".".join(str(part) for part in detail["loc"][:2])
        sentences.setdefault(name, _wrong_value(name, detail, given))
    return list(sentences.values())


def _wrong_value(name: str, detail: ErrorDetails, given: Mapping[str, _Given]) -> str:
    """Say where the value was written and what is wrong with it."""
    if detail["type"] == "value_error":  # raised by a check of our own over several settings
        sentence = str(detail["ctx"]["error"])
        places = [item.place for name, item in given.items() if name in sentence]
        return f"{' and '.join(places)}: {sentence}"
    item, setting = given[name], SETTINGS[name]
    shown = not (setting.is_secret and item.value)
    wrong = f", not {_quoted(item.value)}" if shown else ""
    return f"{item.place} must be {setting.allowed}{wrong}"


def _quoted(value: Any) -> str:
    """Show a value on one line, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _hint(wrong: str, right: Iterable[str]) -> str:
    """End a sentence about an unknown name with the nearest right one."""
    names = list(right)
    # Right but for its section; else at 0.5 a bare 'port' still finds 'server.port'.
    near = [name for name in names if _last_part(name) == _last_part(wrong)]
    near = near or difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else "; python server.py --help lists the settings"


def _last_part(name: str) -> str:
    """Cut the section off: `port` of `server.port`, `PORT` of `BABELBROOK_SERVER__PORT`."""
    return re.split(r"\.|__", name)[-1]


def _from_text(setting: Setting, text: str) -> Any:
    """Decode a list, which a flag or a variable gives as JSON; other types read text themselves.

    What is no JSON stays text, which is then refused as a list.
    """
    if not setting.is_list:
        return text
    try:
        # Bytes of the command line that are not UTF-8 come as surrogates: they are refused here.
        return from_json(text.encode(), allow_inf_nan=False)
    except ValueError:
        return text


# The environment


def _read_variables(environ: Mapping[str, str]) -> tuple[dict[str, _Given], list[str]]:
    """Read the BABELBROOK_* variables: the values by setting, and what is wrong."""
    settings = {setting.variable: setting for setting in SETTINGS.values()}
    given: dict[str, _Given] = {}
    errors: list[str] = []
    for variable, text in environ.items():
        if setting := settings.get(variable):
            given[setting.name] = _Given(_from_text(setting, text), variable)
        elif variable.upper().startswith(PREFIX):
            hint = _hint(variable.upper(), settings)
            errors.append(f"unknown environment variable {variable}{hint}")
    return given, errors


# The command line


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises ConfigError where argparse ends the process."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError([message])


class _Keep(argparse.Action):
    """Keep a setting's text together with the flag as it was written."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        value = _from_text(SETTINGS[self.dest], str(values))
        namespace.given[self.dest] = _Given(value, str(option_string))


class _Switch(argparse.Action):
    """Keep a setting that a flag alone sets to true."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        namespace.given[self.dest] = _Given(True, str(option_string))


def _read_flags(
    argv: Sequence[str], version: str
) -> tuple[argparse.Namespace, dict[str, _Given], list[str]]:
    """Read the command line: its options, the values by setting, and what is wrong.

    Raises ConfigError where a flag lacks its value, because the rest is then unclear.
    """
    options = argparse.Namespace(given={})
    _, strays = _parser(version).parse_known_args(argv, options)
    return options, options.given, list(_stray_words(strays))


def _stray_words(words: Sequence[str]) -> Iterator[str]:
    """Tell what is wrong with the words that belong to no flag."""
    short = [*SHORT_FORMS.values(), *SWITCHES.values()]
    flags = [*OWN_FLAGS, *short, *(setting.flag for setting in SETTINGS.values())]
    expects_value = False
    for word in words:
        if word.startswith("--" if expects_value else "-") and word.strip("-"):
            flag, equals, _ = word.partition("=")
            expects_value = not equals
            yield f"unknown flag {flag}{_hint(flag, flags)}"
        elif expects_value:
            expects_value = False
        else:
            yield f"unexpected argument {_quoted(word)}; settings are given as --section.name VALUE"


def _parser(version: str) -> argparse.ArgumentParser:
    """Declare the command line: the server's own flags, then one per setting, by section."""
    parser = _Parser(
        prog="server.py",
        usage="python server.py [--config FILE] [--check] [--SECTION.NAME VALUE ...]\n"
        "       python server.py translate TEXT|FILE|- --to LANG [-o FILE]\n"
        "       python server.py models list|download NAME|remove NAME|verify [NAME]\n"
        "       python server.py keys add NAME|list|remove NAME\n"
        "       python server.py memory stats|export FILE.tmx|import FILE.tmx|clear",
        description=_DESCRIPTION,
        epilog=_SOURCES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="the config file (default: config.yaml beside server.py, where it exists)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="load the model, decode a few tokens, say what was found, and end with status 0 or 1",
    )
    parser.add_argument("--version", action="version", version=f"Babelbrook {version}".strip())
    for section, heading in HEADINGS.items():
        group = parser.add_argument_group(section, heading)
        for setting in SETTINGS.values():
            if setting.section == section:
                _add_flag(group, setting)
    return parser


def _add_flag(group: argparse._ArgumentGroup, setting: Setting) -> None:
    """Declare the flag of one setting, and its short form."""
    default = setting.default if isinstance(setting.default, str) else json.dumps(setting.default)
    names = [SHORT_FORMS[setting.name]] if setting.name in SHORT_FORMS else []
    group.add_argument(
        *names,
        setting.flag,
        dest=setting.name,
        action=_Keep,
        default=argparse.SUPPRESS,
        metavar="VALUE",
        help=f"{setting.help} ({setting.allowed}; default: {default})".replace("%", "%%"),
    )
    if setting.name in SWITCHES:
        group.add_argument(
            SWITCHES[setting.name],
            action=_Switch,
            dest=setting.name,
            nargs=0,
            default=argparse.SUPPRESS,
            help=f"the same as {setting.flag} true",
        )


# The config file


class _Loader(yaml.SafeLoader):
    """YAML in which fewer words are more than text.

    YAML 1.1 reads `on`, `no` (Norwegian), `017`, `1:30` and `2024-01-01` as booleans, numbers and
    dates. Here, as in YAML 1.2, they are text. What is no text here is none in YAML 1.1 either,
    so whatever another tool writes is read as it was meant.
    """


_TAG = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)\Z", list("-+0123456789")),
    ("float", r"[-+]?[0-9]+\.[0-9]*(?:[eE][-+][0-9]+)?\Z", list("-+0123456789")),
):
    _Loader.add_implicit_resolver(_TAG + _tag, re.compile(_pattern), _first)

_FROM_TAG: dict[str, Callable[[str], Any]] = {
    _TAG + "str": str,
    _TAG + "null": lambda _: None,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "int": int,
    _TAG + "float": float,
}


class _File:
    """A config file: the values by setting (`given`), and what is wrong with it (`errors`).

    PyYAML parses; its nodes, which know their lines, are read here.
    """

    def __init__(self, path: Path, *, must_exist: bool) -> None:
        self.given: dict[str, _Given] = {}
        self.errors: list[str] = []
        self._path = path
        try:
            self._read_sections(self._parse(path.read_bytes().decode("utf-8")))
        except FileNotFoundError:
            if must_exist:
                self.errors.append(f"--config {path}: there is no such file")
        except OSError as error:
            self.errors.append(f"{path} cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            self.errors.append(f"{path} is not UTF-8: {error.reason} at byte {error.start}")
        except RecursionError:
            self.errors.append(f"{path} is nested too deeply")

    def _parse(self, text: str) -> yaml.Node | None:
        """Parse the file. None where it is empty, or no YAML, which is noted as an error."""
        try:
            return yaml.compose(text, _Loader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            problem = ", ".join(part for part in (error.context, error.problem) if part)
            self.errors.append(f"{self._path}, line {line}: this is not YAML: {problem}")
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            self.errors.append(f"{self._path}, line {line}: this is not YAML: {error.reason}")
        return None

    def _read_sections(self, root: yaml.Node | None) -> None:
        """Read the top level, where only sections stand."""
        if not isinstance(root, yaml.MappingNode):
            if root is not None and self._plain(root) is not None:
                self._error(root, "the file must hold sections such as 'server:'")
            return
        for section, key, body in self._pairs(root):
            if section not in HEADINGS:
                names = HEADINGS if isinstance(body, yaml.MappingNode) else SETTINGS
                self._error(key, f"unknown section {section}{_hint(section, names)}")
            elif isinstance(body, yaml.MappingNode):
                self._read_settings(section, body)
            elif self._plain(body) is not None:  # a section whose lines are all comments is null
                self._error(key, f"{section} is a section: its settings stand under it, indented")

    def _read_settings(self, section: str, body: yaml.MappingNode) -> None:
        """Read one section."""
        for field, key, node in self._pairs(body):
            name = f"{section}.{field}"
            value = self._plain(node)
            if name not in SETTINGS:
                self._error(key, f"unknown setting {name}{_hint(name, SETTINGS)}")
                continue
            if isinstance(node, yaml.ScalarNode) and value is not None:
                # A setting's type reads the text as it does a flag's: 'selected: 7' is a name.
                value = node.value
            self.given[name] = _Given(value, f"{self._at(key)}: {name}")

    def _plain(self, node: yaml.Node) -> Any:
        """Turn a node into dicts, lists, text, numbers, booleans and None."""
        if isinstance(node, yaml.MappingNode):
            return {key: self._plain(value) for key, _, value in self._pairs(node)}
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item) for item in node.value]
        try:
            return _FROM_TAG[node.tag](node.value)
        except (KeyError, ValueError):  # a tag that was written out: !!int x, !!binary x
            self._error(node, f"{_quoted(node.value)} cannot be read as {node.tag}")
            return None

    def _pairs(self, mapping: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Go through a mapping: the text of the key, its node, the value's node."""
        lines: dict[str, int] = {}
        for key, value in mapping.value:
            if not isinstance(key, yaml.ScalarNode):
                self._error(key, "a key must be text")
            elif key.value in lines:
                self._error(key, f"{key.value} stands twice; first in line {lines[key.value]}")
            else:
                lines[key.value] = key.start_mark.line + 1
                yield key.value, key, value

    def _at(self, node: yaml.Node) -> str:
        return f"{self._path}, line {node.start_mark.line + 1}"

    def _error(self, node: yaml.Node, sentence: str) -> None:
        self.errors.append(f"{self._at(node)}: {sentence}")


if __name__ == "__main__":
    sys.stdout.write(to_yaml(Settings()))
