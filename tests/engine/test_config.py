"""Settings: where they come from, which source wins, and what a wrong one is answered with."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engine import config
from engine.config import ConfigError, load, models_folder, read_command_line, to_yaml
from engine.declared import HEADINGS, SETTINGS, Setting
from engine.settings import Settings

WriteFile = Callable[[str | bytes], Path]

# What one may write for each type of field, in the file, the environment and as a flag, and the
# value that it becomes.
PRECEDENCE = [
    ("server.host", ["10.0.0.1", "10.0.0.2", "10.0.0.3"], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
    ("server.port", ["1", "2", "0"], [1, 2, 0]),
    ("engine.n_gpu_layers", ["0", "7", "-1"], [0, 7, -1]),
    ("engine.kind", ["echo", "local", "echo"], ["echo", "local", "echo"]),
    ("engine.sequences", ["8", "auto", "16"], [8, "auto", 16]),
    ("engine.flash_attention", ["on", "off", "auto"], ["on", "off", "auto"]),
    ("engine.self_check", ["false", "true", "false"], [False, True, False]),
    ("streams.heartbeat", ["1", "2.5", "1e3"], [1.0, 2.5, 1000.0]),
    (
        "models.entries",
        ["[{name: a}]", '[{"name": "b"}]', '[{"name": "c", "size": 2}]'],
        [[{"name": "a"}], [{"name": "b"}], [{"name": "c", "size": 2}]],
    ),
]


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    """Write a config file and return its path."""

    def write_file(text: str | bytes) -> Path:
        path = tmp_path / "test.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def value_of(loaded: Settings, setting: Setting) -> Any:
    return getattr(getattr(loaded, setting.section), setting.field)


def as_file(setting: Setting, text: str) -> str:
    return f"{setting.section}:\n  {setting.field}: {text}\n"


def load_file(path: Path, *flags: str) -> Settings:
    return load(["--config", str(path), *flags], {})


def sentences(*argv: str, **environ: str) -> list[str]:
    """What the settings are refused with."""
    with pytest.raises(ConfigError) as refusal:
        load(argv, environ)
    assert str(refusal.value).splitlines() == list(refusal.value.sentences)
    return list(refusal.value.sentences)


def file_sentences(path: Path, *flags: str, **environ: str) -> list[str]:
    """What the settings are refused with, each without the path of the file."""
    refused = sentences("--config", str(path), *flags, **environ)
    return [sentence.removeprefix(str(path)).removeprefix(", ") for sentence in refused]


def another_value(schema: dict[str, Any], default: Any) -> Any:
    """A valid value that is not the default."""
    if "anyOf" in schema:
        return another_value(schema["anyOf"][-1], default)
    if "enum" in schema:
        return next(value for value in schema["enum"] if value != default)
    match schema["type"]:
        case "boolean":
            return not default
        case "integer":
            return schema["minimum"] if default == "auto" else default + 1
        case "number":
            return default + 0.5
        case "array" if schema["items"]["type"] == "string":
            return ["other", "one more"]
        case "array":
            return [{"name": "other", "sizes": [1, 2.5, None, True]}]
    texts = ("other", "60/min", "redis://other/1")
    return next(text for text in texts if re.search(schema.get("pattern", ""), text))


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class TestPrecedence:
    @pytest.mark.parametrize(
        ("name", "texts", "values"), PRECEDENCE, ids=[case[0] for case in PRECEDENCE]
    )
    def test_flag_over_environment_over_file_over_default(
        self, write: WriteFile, name: str, texts: list[str], values: list[Any]
    ) -> None:
        setting = SETTINGS[name]
        in_file, in_environment, in_flag = texts
        path = write(as_file(setting, in_file))
        environ = {setting.variable: in_environment}
        flag = [setting.flag, in_flag]

        found = [
            value_of(load(["--config", str(path), *flags], variables), setting)
            for flags, variables in [([], {}), ([], environ), (flag, environ), (flag, {})]
        ]
        assert found == [*values, values[-1]]
        assert [type(value) for value in found[:3]] == [type(value) for value in values]
        assert value_of(load_file(write("")), setting) == setting.default

    def test_sources_mix_setting_by_setting(self, write: WriteFile) -> None:
        path = write("server: {host: localhost, port: 1}\nlog: {level: debug}\n")
        loaded = load(
            ["--config", str(path), "--drain.deadline", "5"], {"BABELBROOK_SERVER__PORT": "2"}
        )
        assert (loaded.server.host, loaded.server.port) == ("localhost", 2)
        assert loaded.log.level == "debug"
        assert loaded.drain.deadline == 5
        assert loaded.engine == Settings().engine

    def test_a_flag_helps_over_a_wrong_value_in_the_file(self, write: WriteFile) -> None:
        assert load_file(write("server: {port: many}"), "--port", "81").server.port == 81

    def test_the_last_of_several_flags_counts(self, write: WriteFile) -> None:
        path = write("")
        assert load_file(path, "--port", "1", "--server.port=2").server.port == 2
        assert load_file(path, "--server.port=2", "--port", "1").server.port == 1


class TestEverySetting:
    """A new declaration is covered by these tests as it is."""

    @pytest.fixture(params=SETTINGS.values(), ids=list(SETTINGS))
    def setting(self, request: pytest.FixtureRequest) -> Setting:
        declared: Setting = request.param
        return declared

    def test_can_be_set_in_the_file(self, write: WriteFile, setting: Setting) -> None:
        other = another_value(setting.schema, setting.default)
        path = write(yaml.safe_dump({setting.section: {setting.field: other}}))
        assert value_of(load_file(path), setting) == other != setting.default

    def test_can_be_set_in_the_environment(self, write: WriteFile, setting: Setting) -> None:
        other = another_value(setting.schema, setting.default)
        loaded = load(["--config", str(write(""))], {setting.variable: as_text(other)})
        assert value_of(loaded, setting) == other

    @pytest.mark.parametrize("joined", [True, False])
    def test_can_be_set_by_a_flag(self, write: WriteFile, setting: Setting, joined: bool) -> None:
        other = another_value(setting.schema, setting.default)
        text = as_text(other)
        flags = [f"{setting.flag}={text}"] if joined else [setting.flag, text]
        assert value_of(load_file(write(""), *flags), setting) == other

    def test_refuses_a_wrong_type_and_says_what_it_allows(
        self, write: WriteFile, setting: Setting
    ) -> None:
        found = file_sentences(write(as_file(setting, "{a: 1}")))
        shown = "" if setting.name in ("redis.url", "remote.key") else ', not {"a": 1}'
        assert found == [f"line 2: {setting.name} must be {setting.allowed}{shown}"]
        found = file_sentences(write(as_file(setting, "")))
        assert found == [f"line 2: {setting.name} must be {setting.allowed}, not null"]

    def test_refuses_empty_text(self, write: WriteFile, setting: Setting) -> None:
        path = str(write(""))
        wrong = f'must be {setting.allowed}, not ""'
        assert sentences("--config", path, setting.flag, "") == [f"{setting.flag} {wrong}"]
        assert sentences("--config", path, **{setting.variable: ""}) == [
            f"{setting.variable} {wrong}"
        ]

    def test_a_misspelt_name_is_told_the_right_one(
        self, write: WriteFile, setting: Setting
    ) -> None:
        wrong = setting.field[:-1] + "q"
        [by_file] = file_sentences(write(f"{setting.section}:\n  {wrong}: 1\n"))
        path = str(write(""))
        [by_flag] = sentences("--config", path, setting.flag[:-1] + "q", "1")
        variable = setting.variable[:-1] + "Q"
        [by_variable] = sentences("--config", path, **{variable: "1"})
        assert by_file == (
            f"line 2: unknown setting {setting.section}.{wrong}; did you mean {setting.name}?"
        )
        assert by_flag == f"unknown flag {setting.flag[:-1]}q; did you mean {setting.flag}?"
        assert by_variable == (
            f"unknown environment variable {variable}; did you mean {setting.variable}?"
        )

    def test_has_one_line_of_help_in_the_file(self, setting: Setting) -> None:
        assert setting.help
        lines = to_yaml(Settings()).splitlines()
        help_line = lines.index(f"  # {setting.help}")
        value = yaml.safe_load(lines[help_line + 1])
        assert value == {setting.field: setting.default}
        assert lines[help_line + 1].endswith(f"  # {setting.allowed}")

    def test_is_on_the_help_page(self, setting: Setting, help_page: str) -> None:
        assert f"{setting.flag} " in help_page
        assert (
            f"{setting.help} ({setting.allowed}; default: {as_text(setting.default)})" in help_page
        )

    def test_is_in_a_section_with_a_heading(self, setting: Setting, help_page: str) -> None:
        heading = HEADINGS[setting.section]
        assert heading.count("\n") == 0 < len(heading)
        assert f"\n# {heading}\n{setting.section}:\n" in to_yaml(Settings())
        assert f"{setting.section}: {heading}" in help_page


@pytest.fixture
def help_page(capsys: pytest.CaptureFixture[str]) -> str:
    """What `--help` prints, with single spaces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "500")  # no line is broken
        with pytest.raises(SystemExit) as end:
            load(["--help"], {})
    assert end.value.code == 0
    return " ".join(capsys.readouterr().out.split())


class TestCommandLine:
    @pytest.mark.parametrize(
        ("short", "name", "value"),
        [
            ("--host", "server.host", "::1"),
            ("--port", "server.port", 0),
            ("--model", "models.selected", "/data/a.gguf"),
            ("--engine", "engine.kind", "echo"),
        ],
    )
    def test_short_forms(self, write: WriteFile, short: str, name: str, value: Any) -> None:
        path = write("")
        for flags in ([short, str(value)], [f"{short}={value}"]):
            assert value_of(load_file(path, *flags), SETTINGS[name]) == value
        assert sentences("--config", str(path), short, "") == [
            f'{short} must be {SETTINGS[name].allowed}, not ""'
        ]

    def test_check_is_told_to_the_caller(self, write: WriteFile) -> None:
        argv = ["--config", str(write("")), "--port", "1"]
        assert read_command_line(argv, {}).check is False
        asked = read_command_line([*argv, "--check"], {})
        assert asked.check is True
        assert asked.settings.server.port == 1

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as end:
            read_command_line(["--version"], {}, version="1.2.3")
        assert end.value.code == 0
        assert capsys.readouterr().out == "Babelbrook 1.2.3\n"

    def test_help_names_all_of_the_short_forms_and_works_with_broken_settings(
        self, help_page: str, write: WriteFile
    ) -> None:
        for short in ("--host", "--port", "--model", "--engine", "--config FILE", "--check"):
            assert short in help_page
        assert "BABELBROOK_SERVER__PORT" in help_page
        with pytest.raises(SystemExit):
            load_file(write("a: ["), "--help")

    @pytest.mark.parametrize(
        ("argv", "sentence"),
        [
            (["--sever.port", "1"], "unknown flag --sever.port; did you mean --server.port?"),
            (["--sever.port=1"], "unknown flag --sever.port; did you mean --server.port?"),
            (["--hots", "1"], "unknown flag --hots; did you mean --host?"),
            (["--chekc"], "unknown flag --chekc; did you mean --check?"),
            (["--level", "info"], "unknown flag --level; did you mean --log.level?"),
            (["--server.por", "1"], "unknown flag --server.por; did you mean --server.port?"),
            (["--hos", "1"], "unknown flag --hos; did you mean --host?"),
            (["--hel"], "unknown flag --hel; did you mean --help?"),
            (["-p", "1"], "unknown flag -p; did you mean --port?"),
            (["--xyzzy"], "unknown flag --xyzzy; python server.py --help lists the settings"),
            (["serve"], 'unexpected argument "serve"; settings are given as --section.name VALUE'),
            (["--", "x"], 'unexpected argument "--"; settings are given as --section.name VALUE'),
            (["--port"], "argument --port/--server.port: expected one argument"),
            (["--log.level"], "argument --log.level: expected one argument"),
            (["--check=1"], "argument --check: ignored explicit argument '1'"),
            (["--port", "http"], '--port must be a whole number from 0 to 65535, not "http"'),
            (["--port", "65536"], '--port must be a whole number from 0 to 65535, not "65536"'),
            (["--port", "-1"], '--port must be a whole number from 0 to 65535, not "-1"'),
            (["--port", "80.5"], '--port must be a whole number from 0 to 65535, not "80.5"'),
            (["--log.level", "loud"], "must be debug, info, warning or error, not"),
            (["--engine.sequences", "0"], "must be auto or a whole number from 1 to 256, not"),
            (["--engine.context", "63"], "must be auto or a whole number of at least 64, not"),
            (["--engine.self_check", "maybe"], "must be true or false, not"),
            (["--streams.heartbeat", "0"], "must be a number above 0, not"),
            (["--streams.heartbeat", "inf"], "must be a number above 0, not"),
            (["--drain.deadline", "nan"], "must be a number of at least 0, not"),
            (["--models.entries", "[{"], "written as JSON in flags and variables, not"),
            (["--models.entries", '[{"a": NaN}]'], "written as JSON in flags and variables, not"),
            (["--models.entries", "[1]"], "written as JSON in flags and variables, not [1]"),
            (["--models.entries", "9" * 5000], "written as JSON in flags and variables, not"),
            (["--models.entries", "[" * 5000], "written as JSON in flags and variables, not"),
            (["--models.entries", '["\udcff"]'], "written as JSON in flags and variables, not"),
            (["--server.host", "\udcff"], "--server.host must be text, not"),
        ],
    )
    def test_what_is_wrong_is_named_as_it_was_written(
        self, write: WriteFile, argv: list[str], sentence: str
    ) -> None:
        assert sentence in sentences("--config", str(write("")), *argv)[0]

    def test_a_long_value_is_cut(self) -> None:
        [sentence] = sentences("--port", "9" * 5000)
        assert len(sentence) < 200


class TestEnvironment:
    @pytest.mark.parametrize(
        "variable",
        [
            "BABELBROOK_SERVER__PROT",
            "BABELBROOK_SEVER__PORT",
            "BABELBROOK_SERVER_PORT",
            "BABELBROOK_PORT",
            "babelbrook_server__port",
        ],
    )
    def test_an_unknown_variable_is_told_the_right_name(self, variable: str) -> None:
        assert sentences(**{variable: "1"}) == [
            f"unknown environment variable {variable}; did you mean BABELBROOK_SERVER__PORT?"
        ]

    def test_other_variables_do_not_matter(self, write: WriteFile) -> None:
        environ = {"PATH": "/bin", "SERVER__PORT": "1", "MY_BABELBROOK_X": "1"}
        assert load(["--config", str(write(""))], environ) == Settings()


class TestFile:
    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            (
                "server:\n  prot: 1",
                "line 2: unknown setting server.prot; did you mean server.port?",
            ),
            ("# top\n\nsever:\n  port: 1", "line 3: unknown section sever; did you mean server?"),
            ("port: 1", "line 1: unknown section port; did you mean server.port?"),
            ("server: {batch: 1}", "unknown setting server.batch; did you mean engine.batch?"),
            ("xyzzy: 1", "unknown section xyzzy; python server.py --help lists the settings"),
            ("server: 5", "line 1: server is a section: its settings stand under it, indented"),
            ("server: []", "line 1: server is a section: its settings stand under it, indented"),
            ("- server", "line 1: the file must hold sections such as 'server:'"),
            ("server", "line 1: the file must hold sections such as 'server:'"),
            ("server:\n  port: 1\n  port: 2", "line 3: port stands twice; first in line 2"),
            ("log: {}\nserver: {}\nlog: {}", "line 3: log stands twice; first in line 1"),
            ("models:\n  entries: [{a: 1, a: 2}]", "line 2: a stands twice; first in line 2"),
            ("server: {[a]: 1}", "line 1: a key must be text"),
            ("server:\n  port: a: b", "line 2: this is not YAML: mapping values are not allowed"),
            ("server:\n\tport: 1", "line 2: this is not YAML: while scanning for the next token"),
            ("a: [", "line 1: this is not YAML: while parsing a flow node"),
            ("a: *b", "line 1: this is not YAML: found undefined alias 'b'"),
            ("--- {}\n--- {}", "line 2: this is not YAML: expected a single document"),
            ("log: {}\n\x01", "line 2: this is not YAML: special characters are not allowed"),
            ("server: {port: !!int x}", 'line 1: "x" cannot be read as tag:yaml.org,2002:int'),
            ("server: {port: !port 1}", 'line 1: "1" cannot be read as !port'),
            ("models: {entries: &a [*a]}", " is nested too deeply"),
            ("a: " + "[" * 5000 + "]" * 5000, " is nested too deeply"),
            ("server:\n  port: true", "server.port must be a whole number from 0 to 65535, not"),
            ("server:\n  port: 1_000_000", "server.port must be a whole number from 0 to 65535"),
            ("engine:\n  threads: many", "engine.threads must be auto or a whole number from 1 to"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_line(
        self, write: WriteFile, text: str, sentence: str
    ) -> None:
        assert sentence in file_sentences(write(text))[0]

    def test_bytes_that_are_not_utf_8(self, write: WriteFile) -> None:
        path = write(b"server: {host: \xff}")
        assert sentences("--config", str(path)) == [
            f"{path} is not UTF-8: invalid start byte at byte 15"
        ]

    def test_a_folder_as_the_file(self, tmp_path: Path) -> None:
        assert sentences("--config", str(tmp_path)) == [
            f"{tmp_path} cannot be read: Is a directory"
        ]

    def test_a_named_file_must_exist(self, tmp_path: Path) -> None:
        path = tmp_path / "absent.yaml"
        assert sentences("--config", str(path)) == [f"--config {path}: there is no such file"]

    def test_the_file_beside_the_server_is_read_where_it_exists(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "config.yaml")
        assert load([], {}) == Settings()
        (tmp_path / "config.yaml").write_text("server: {port: 1}")
        assert load([], {}).server.port == 1

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "# only a comment\n",
            "---\n",
            "server:\n  # port: 1\n",
            "server: {}",
            b"\xef\xbb\xbf",
        ],
    )
    def test_a_file_may_be_empty(self, write: WriteFile, text: str | bytes) -> None:
        assert load_file(write(text)) == Settings()

    def test_a_byte_order_mark_does_not_matter(self, write: WriteFile) -> None:
        assert load_file(write(b"\xef\xbb\xbfserver: {port: 1}")).server.port == 1

    @pytest.mark.parametrize("text", ["on", "'on'", "true", "True"])
    def test_on_is_not_taken_for_true(self, write: WriteFile, text: str) -> None:
        loaded = load_file(write(f"engine: {{flash_attention: {text}}}"))
        assert loaded.engine.flash_attention == "on"

    @pytest.mark.parametrize("text", ["off", "'off'", "false"])
    def test_off_is_not_taken_for_false(self, write: WriteFile, text: str) -> None:
        loaded = load_file(write(f"engine: {{flash_attention: {text}}}"))
        assert loaded.engine.flash_attention == "off"

    def test_norwegian_is_a_language(self, write: WriteFile) -> None:
        loaded = load_file(write("translation: {target_lang: no}\nmodels: {selected: 017}"))
        assert loaded.translation.target_lang == "no"
        assert loaded.models.selected == "017"

    def test_few_words_of_an_entry_are_more_than_text(self, write: WriteFile) -> None:
        text = [
            "no",
            "on",
            "yes",
            "017",
            "0x1f",
            "1_000",
            "1:30",
            "2024-01-01",
            ".inf",
            "1e3",
            "~x",
        ]
        more = {"null": None, "~": None, "true": True, "False": False, "-3": -3, "0.5": 0.5}
        listed = "\n".join(f"  - {{value: {word}}}" for word in [*text, *more, "'true'", "'1'"])
        loaded = load_file(write(f"models:\n  entries:\n{listed}\n"))
        found = [entry["value"] for entry in loaded.models.entries]
        assert found == [*text, *more.values(), "true", "1"]

    def test_all_that_is_wrong_is_listed(self, write: WriteFile) -> None:
        path = write("server: {port: x, prot: 1}\nsever: {}\nlog: {level: loud}\n")
        found = file_sentences(path, "--hots", "1", "--engine", "x", BABELBROOK_PORT="1")
        assert found == [
            "unknown flag --hots; did you mean --host?",
            "unknown environment variable BABELBROOK_PORT; did you mean BABELBROOK_SERVER__PORT?",
            "line 1: unknown setting server.prot; did you mean server.port?",
            "line 2: unknown section sever; did you mean server?",
            'line 1: server.port must be a whole number from 0 to 65535, not "x"',
            '--engine must be local, remote, ray or echo, not "x"',
            'line 3: log.level must be debug, info, warning or error, not "loud"',
        ]


def test_a_body_must_have_room_for_a_text(write: WriteFile) -> None:
    path = write("limits:\n  text_bytes: 99999999\n")
    assert file_sentences(path) == [
        "line 2: limits.text_bytes: "
        "limits.body_bytes (8388608) must be above limits.text_bytes (99999999)"
    ]
    assert file_sentences(path, "--limits.body_bytes=5") == [
        "line 2: limits.text_bytes and --limits.body_bytes: "
        "limits.body_bytes (5) must be above limits.text_bytes (99999999)"
    ]


def test_the_models_folder_lies_beside_the_server(write: WriteFile) -> None:
    project = Path(__file__).resolve().parents[2]
    assert models_folder(Settings()) == project / "models"
    absolute = load_file(write("models: {folder: /srv/models}"))
    assert models_folder(absolute) == Path("/srv/models")


def test_config_yaml_is_what_the_declarations_make() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "engine.config"], cwd=config.PROJECT, capture_output=True, check=True
    )
    assert made.stdout == config.DEFAULT_FILE.read_bytes()
    assert made.stderr == b""


def test_config_yaml_holds_the_defaults() -> None:
    assert load(["--config", str(config.DEFAULT_FILE)], {}) == Settings()
    # Also to a tool that reads it as YAML 1.1.
    assert yaml.safe_load(config.DEFAULT_FILE.read_text()) == Settings().model_dump()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().server.port = 1


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXT, children, max_size=3),
    max_leaves=6,
)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """All values that the JSON schema of a setting allows."""
    if "anyOf" in schema:
        return st.one_of([values(choice) for choice in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    match schema["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema["minimum"], schema.get("maximum"))
        case "number":
            above = "exclusiveMinimum" in schema
            least = schema["exclusiveMinimum" if above else "minimum"]
            most = schema.get("maximum")
            return st.floats(least, most, exclude_min=above, allow_nan=False, allow_infinity=False)
        case "array" if schema["items"]["type"] == "string":
            return st.lists(TEXT.filter(bool), max_size=2)
        case "array":
            return st.lists(st.dictionaries(TEXT, JSON, max_size=3), max_size=2)
    return (
        st.from_regex(schema["pattern"], fullmatch=True)
        if "pattern" in schema
        else TEXT.filter(bool)
    )


@st.composite
def valid_settings(draw: st.DrawFn) -> Settings:
    tree: dict[str, dict[str, Any]] = {section: {} for section in HEADINGS}
    for setting in SETTINGS.values():
        tree[setting.section][setting.field] = draw(values(setting.schema))
    assume(tree["limits"]["body_bytes"] > tree["limits"]["text_bytes"])
    tree["drain"]["delay"] = min(tree["drain"].values())
    ray = tree["ray"]
    ray["max_replicas"] = max(ray["min_replicas"], ray["max_replicas"])
    ray["streams"] = max(ray["target_streams"] + 1, ray["streams"])
    return Settings.model_validate(tree)


@given(expected=valid_settings())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_settings_written_as_yaml_are_read_again(write: WriteFile, expected: Settings) -> None:
    assert load_file(write(to_yaml(expected))) == expected
    # And as any other tool may write them.
    assert load_file(write(yaml.safe_dump(expected.model_dump()))) == expected
