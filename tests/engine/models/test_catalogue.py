"""The catalogue: entries of a person's own, and the sentences that bad ones are answered with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import ModelError
from engine.models.catalogue import EMBEDDED, PLAIN_CHAT, ModelEntry, find
from engine.translation.languages import WIDELY_SPOKEN

ROOT = Path(__file__).parents[3]
FOLDER = Path("/srv/models")


def entry(**fields: Any) -> dict[str, Any]:
    return {"name": "mine", "file": "mine.gguf", **fields}


def found(**fields: Any) -> ModelEntry:
    return find("mine", FOLDER, [entry(**fields)])


def refusal(*entries: dict[str, Any], name: str = "mine") -> str:
    with pytest.raises(ModelError) as refused:
        find(name, FOLDER, entries)
    return refused.value.sentence


# What is found


def test_the_embedded_model_lies_in_the_models_folder() -> None:
    entry = find("tatoeba-mini", ROOT / "models")
    assert entry.file.is_file()
    assert entry == EMBEDDED.model_copy(update={"file": entry.file})


def test_an_entry_of_one_s_own_goes_over_a_shipped_one() -> None:
    own = entry(name="tatoeba-mini", segment="paragraph")
    assert find("tatoeba-mini", FOLDER, [own]).segment == "paragraph"


def test_an_entry_needs_only_a_name_and_a_file() -> None:
    entry = found()
    assert entry.prompt == PLAIN_CHAT
    assert entry.target_langs == WIDELY_SPOKEN
    assert entry.sampling.temperature == 0


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("mine.gguf", FOLDER / "mine.gguf"),
        ("sub/mine.gguf", FOLDER / "sub/mine.gguf"),
        ("/data/mine.gguf", Path("/data/mine.gguf")),
        ("~/mine.gguf", Path.home() / "mine.gguf"),
        ("~nobody-of-this-name/mine.gguf", FOLDER / "~nobody-of-this-name/mine.gguf"),
    ],
)
def test_a_file_is_relative_to_the_models_folder(file: str, path: Path) -> None:
    assert found(file=file).file == path


def test_a_relative_models_folder_gives_absolute_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("mine", Path("models"), [entry()]).file == tmp_path / "models" / "mine.gguf"


@pytest.mark.parametrize("place", ["folder", "working folder", "nowhere"])
def test_the_path_of_a_gguf_file_is_a_model(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, here = tmp_path / "folder", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    if place == "folder":
        (folder / "My Model.GGUF").touch()
    elif place == "working folder":
        for beside in (here, folder):
            (beside / "My Model.GGUF").touch()
    model = find("My Model.GGUF", folder)
    assert model.name == "My Model"
    assert model.file == (folder if place == "folder" else here) / "My Model.GGUF"
    assert model.prompt == PLAIN_CHAT


def test_codes_and_names_of_languages_become_codes() -> None:
    model = found(source_langs=["eng", "Japanese", "pt_br"], target_langs=["zh-hant", "Deutsch"])
    assert model.source_langs == ("en", "ja", "pt-BR")
    assert model.target_langs == ("zh-Hant", "de")


# What is refused


def test_an_unknown_name_is_told_with_those_that_are_known() -> None:
    assert refusal(entry(), name="other") == (
        "There is no model 'other': it is neither an entry (tatoeba-mini, mine) nor the path of a"
        " .gguf file."
    )


def test_two_entries_of_one_name_are_refused() -> None:
    sentence = refusal(entry(), entry(file="other.gguf"), name="tatoeba-mini")
    assert sentence == "Two entries of models.entries are called 'mine'."


def test_a_bad_entry_is_told_whichever_model_is_asked_for() -> None:
    assert "'mine'" in refusal(entry(segment="word"), name="tatoeba-mini")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"segment": "word"}, "'mine' of models.entries is wrong: segment: Input should be"),
        ({"colour": "red"}, "'mine' of models.entries is wrong: colour: Extra inputs"),
        ({"name": ""}, "number 2 of models.entries is wrong: name: String should have at least"),
        ({"name": 7}, "number 2 of models.entries is wrong: name: Input should be a valid string"),
        ({"file": None}, "file: Input is not a valid path"),
        ({"prompt": {"template": "Hi."}}, "prompt.template: the template must hold {text}"),
        ({"prompt": {"template": "{text} {lang}"}}, "prompt.template: the template may hold"),
        ({"prompt": {"template": "{text"}}, "prompt.template: expected '}' before end of string."),
        (
            {"prompt": {"template": "{text}", "template_auto": "{source_lang}{text}"}},
            "prompt.template_auto: it is for texts of unknown language",
        ),
        ({"prompt": {"template": "{text}", "chat": "maybe"}}, "prompt.chat: Input should be"),
        ({"sampling": {"top_p": 2}}, "sampling.top_p: Input should be less than or equal to 1."),
        ({"sampling": {"temperature": float("nan")}}, "sampling.temperature: Input should be"),
        ({"target_langs": []}, "target_langs: "),
        ({"target_langs": ["de", "de"]}, "target_langs: de is there twice."),
        ({"target_langs": ["zh", "Chinese"]}, "target_langs: zh is there twice."),
        ({"target_langs": ["de", "xx"]}, "target_langs.1: 'xx' is not a language"),
        ({"source_langs": ["und"]}, "source_langs.0: 'und' is not a language"),
        ({"target_langs": ["de", False]}, "target_langs.1: YAML reads the code no as false"),
        ({"target_langs": [7]}, "target_langs.0: a language must be a text."),
        ({"target_langs": "de"}, "target_langs: Input should be a valid tuple."),
    ],
)
def test_a_bad_entry_is_told_by_name_and_field(fields: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(entry(name="first"), entry(**fields))


def test_every_sentence_about_a_bad_entry_is_short() -> None:
    assert len(refusal(entry(name="x" * 10_000))) < 300
    assert len(refusal(entry(target_langs=["x" * 10_000]))) < 300
    assert len(refusal(entry(prompt={"template": "{" + "x" * 10_000 + "}"}))) < 300
