"""The catalogue: entries of a person's own, and the sentences that bad ones are answered with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import ModelError, UnknownLanguage
from engine.models.catalogue import EMBEDDED, PLAIN_CHAT, SHIPPED, Catalogue, ModelEntry, find
from engine.translation.languages import WIDELY_SPOKEN
from engine.translation.prompts import PromptForm

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


def test_a_source_gives_the_file_its_name() -> None:
    source = {"repository": "someone/models", "file": "q4/Mine-Q4_K_M.gguf"}
    model = find("mine", FOLDER, [{"name": "mine", "source": source}])
    assert model.file == FOLDER / "Mine-Q4_K_M.gguf"
    assert model.source is not None
    assert model.source.revision == "main"


def test_langs_are_source_and_target_languages() -> None:
    model = found(langs=["English", "ja"], target_langs=["ja"])
    assert (model.source_langs, model.target_langs) == (("en", "ja"), ("ja",))


# The whole catalogue


def test_any_gguf_file_in_the_folder_is_offered_once(tmp_path: Path) -> None:
    for name in ("mine.gguf", "Another.GGUF", "notes.txt", "half.gguf.part"):
        (tmp_path / name).touch()
    catalogue = Catalogue(tmp_path, [entry()])
    names = [model.name for model in catalogue]
    assert names[-2:] == ["mine", "Another"]
    assert len(set(names)) == len(names)
    assert catalogue.find("Another").file == tmp_path / "Another.GGUF"
    assert catalogue.find(str(tmp_path / "mine.gguf")).name == "mine"


def test_a_file_that_comes_later_is_offered_too(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "new")
    assert catalogue.named("late") is None
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "late.gguf").write_bytes(b"GGUF")
    late = catalogue.named("late")
    assert late is not None
    assert (late.downloaded, late.size) == (True, 4)


@pytest.mark.parametrize("model", SHIPPED, ids=lambda model: model.name)
def test_every_shipped_model_tells_its_licence_and_can_be_asked(model: ModelEntry) -> None:
    assert model.licence
    assert model.commercial_use is not None
    assert model.commercial_use == ("NC" not in model.licence)
    assert model.parameters
    assert "ja" in model.target_langs  # the default of translation.target_lang
    assert model.source is not None or (ROOT / "models" / model.file).is_file()
    spec = model.prompt.model_copy(update={"chat": False})
    before, after = PromptForm(spec, None).around("en", "ja")
    assert "ja" in before + after or "Japanese" in before + after


def test_shipped_files_have_names_of_their_own() -> None:
    assert len({model.file for model in SHIPPED}) == len({m.name for m in SHIPPED}) == len(SHIPPED)


def test_translategemma_is_asked_as_its_own_processor_would() -> None:
    model = find("TranslateGemma-4B", FOLDER)
    before, after = PromptForm(model.prompt, None).around("de", "zh-Hant")
    assert before.startswith(
        "<start_of_turn>user\nYou are a professional German (de) to Chinese (Traditional) (zh-Hant)"
        " translator. Your goal is to accurately convey"
    )
    assert before.endswith("German text into Chinese (Traditional):\n\n\n")
    assert after == "<end_of_turn>\n<start_of_turn>model\n"


# What is refused


def test_an_unknown_name_is_told_with_those_that_are_known() -> None:
    sentence = refusal(entry(), name="other")
    assert sentence.startswith("There is no model 'other': it is neither one of tatoeba-mini, ")
    assert sentence.endswith(", mine, nor the path of a .gguf file.")


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
        ({"langs": ["de", "de"]}, "source_langs: de is there twice."),
        ({"source": {"repository": "alone", "file": "a.gguf"}}, "source.repository: "),
        ({"source": {"repository": "a/b", "file": "/a.gguf"}}, "source.file: "),
        ({"source": {"repository": "a/b", "file": "a.bin"}}, "source.file: "),
        ({"source": {"repository": "a/b"}}, "source.file: Field required."),
        ({"source": {"repository": "a/b", "file": "a.gguf", "sha256": "F00"}}, "source.sha256: "),
        ({"source": "a/b"}, "source: Input should be a valid dictionary"),
        ({"context": 8}, "context: Input should be greater than or equal to 64."),
    ],
)
def test_a_bad_entry_is_told_by_name_and_field(fields: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(entry(name="first"), entry(**fields))


def test_every_sentence_about_a_bad_entry_is_short() -> None:
    assert len(refusal(entry(name="x" * 10_000))) < 300
    assert len(refusal(entry(target_langs=["x" * 10_000]))) < 300
    assert len(refusal(entry(prompt={"template": "{" + "x" * 10_000 + "}"}))) < 300


def test_a_model_with_a_pivot_translates_between_that_language_and_its_others() -> None:
    assert EMBEDDED.sources("en") == ("ja", "de", "fr", "es", "zh")
    assert EMBEDDED.sources("de") == ("en",)
    assert EMBEDDED.targets("ja") == ("en",)
    EMBEDDED.require_pair("ja", "en")
    EMBEDDED.require_pair("de", "de")  # given back as it is
    with pytest.raises(UnknownLanguage, match="one of the two must be en"):
        EMBEDDED.require_pair("ja", "de")
