"""The models that are known: what each is, where its file lies and how it wants to be asked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from engine.errors import ModelError, UnknownLanguage
from engine.models import gguf, split
from engine.translation.languages import WIDELY_SPOKEN, canonical
from engine.translation.templates import Template


def _template(source: str) -> str:
    Template.parse(source)
    return source


def _template_auto(source: str) -> str:
    if Template.parse(source).names_source:
        raise ValueError("it is for texts of unknown language and cannot name that")
    return source


def _code(value: object) -> str:
    if value is False:
        raise ValueError("YAML reads the code no as false: write it in quotes")
    if not isinstance(value, str):
        raise ValueError("a language must be a text")
    try:
        return canonical(value)
    except UnknownLanguage as error:
        raise ValueError(error.sentence) from None


def _unique(codes: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((code for number, code in enumerate(codes) if code in codes[:number]), None)
    if twice is not None:
        raise ValueError(f"{twice} is there twice")
    return codes


# BCP-47 codes; what a person writes (jpn, Japanese, pt_BR) becomes one.
Languages = Annotated[
    tuple[Annotated[str, BeforeValidator(_code)], ...],
    Field(min_length=1),
    AfterValidator(_unique),
]


class PromptSpec(BaseModel):
    """How a model is asked.

    `template` holds `{text}` once and, where the model wants them, `{source_lang}` and
    `{target_lang}`: the languages' English names ("Japanese"), or with `languages: code` their
    BCP-47 codes, which are also there as `{source_code}` and `{target_code}`. Tone, context,
    instructions and terms go where `{hints}` is, as paragraphs, or nowhere. With `chat` it is the
    user's message inside the model file's chat template, without it is the whole prompt.
    `template_auto` is used where the source language is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: Annotated[str, AfterValidator(_template)]
    template_auto: Annotated[str, AfterValidator(_template_auto)] | None = None
    chat: bool = False
    languages: Literal["code", "name"] = "name"

    @property
    def carries_hints(self) -> bool:
        """Whether it has a place for what a request tells beside the text."""
        templates = filter(None, (self.template, self.template_auto))
        return all(Template.parse(template).count("hints") for template in templates)

    @property
    def needs_source(self) -> bool:
        """Whether it cannot be asked about a text of unknown language."""
        return self.template_auto is None and Template.parse(self.template).names_source


PLAIN_CHAT = PromptSpec(
    template="{hints}Translate the following text from {source_lang} into {target_lang}. Answer"
    " with the translation only, without notes or quotation marks.\n\n{text}",
    template_auto="{hints}Translate the following text into {target_lang}. Answer with the"
    " translation only, without notes or quotation marks.\n\n{text}",
    chat=True,
)


class SamplingDefaults(BaseModel):
    """What a model's makers recommend; a request's own fields come before these."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    top_k: int = Field(default=40, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    min_p: float = Field(default=0.05, ge=0, le=1)
    repeat_penalty: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Source(BaseModel):
    """Where a model file can be had: a file in a repository of Hugging Face's hub.

    Of a model in parts it is the first. `revision` is a branch, a tag or a commit; `size` (bytes)
    and `sha256` are checked where given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    file: str = Field(pattern=r"^[^/\s].*\.gguf$")
    revision: str = Field(default="main", min_length=1)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    size: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _whole(self) -> Source:
        number = split.number(self.file)
        if number is not None and number != 1:
            raise ValueError(f"{self.file} is a part; name the first one, {self.files[0]}")
        if number is not None and (self.sha256 or self.size):
            raise ValueError("a model in parts has no one sha256 and size; pin its revision")
        return self

    @property
    def files(self) -> list[str]:
        """All files of the model."""
        return split.files(self.file)

    @property
    def pinned(self) -> bool:
        """Whether only the very file that the entry means is taken."""
        return self.sha256 is not None or re.fullmatch("[0-9a-f]{40}", self.revision) is not None


class ModelEntry(BaseModel):
    """One model of the catalogue.

    `file` is where it lies, or the first of its files; with a `source` it may be left out and is
    then the source's file name.
    `source_langs` and `target_langs` are BCP-47 codes; `langs` gives both. `commercial_use` says
    whether the licence allows it, None where nobody has looked. `context` is what a sequence holds
    where `engine.context` is auto, in tokens. `copies_keeps` says whether the model is shown what
    must come out unchanged (placeholders, addresses, tags), or only the text between. With a
    `pivot` one side of every pair is that language.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200)
    file: Path
    source: Source | None = None
    parameters: int | None = Field(default=None, ge=0)
    licence: str | None = None
    commercial_use: bool | None = None
    source_langs: Languages = WIDELY_SPOKEN
    target_langs: Languages = WIDELY_SPOKEN
    pivot: Annotated[str, BeforeValidator(_code)] | None = None
    prompt: PromptSpec = PLAIN_CHAT
    segment: Literal["sentence", "paragraph"] = "paragraph"
    context: int | None = Field(default=None, ge=64)
    copies_keeps: bool = True
    sampling: SamplingDefaults = SamplingDefaults()

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, fields: Any) -> Any:
        """`langs` stands for both kinds of languages, and the source's file name for `file`."""
        if not isinstance(fields, Mapping):
            return fields
        full = dict(fields)
        if "langs" in full:
            langs = full.pop("langs")
            full = {"source_langs": langs, "target_langs": langs} | full
        source = full.get("source")
        if "file" not in full and isinstance(source, Mapping):
            full["file"] = str(source.get("file")).rpartition("/")[2]
        return full

    def sources(self, target: str) -> tuple[str, ...]:
        """The languages that it translates from into one of its target languages."""
        return tuple(code for code in self.source_langs if self._pairs(code, target))

    def targets(self, source: str) -> tuple[str, ...]:
        """The languages that it translates into from one of its source languages."""
        return tuple(code for code in self.target_langs if self._pairs(source, code))

    def require_pair(self, source: str, target: str) -> None:
        """Raises UnknownLanguage for two of its languages that it cannot translate between."""
        if source != target and not self._pairs(source, target):
            raise UnknownLanguage(
                f"{self.name} does not translate from {source} into {target}: one of the two must"
                f" be {self.pivot}."
            )

    def _pairs(self, source: str, target: str) -> bool:
        return self.pivot is None or (source != target and self.pivot in (source, target))

    def require_source(self) -> Source:
        """Where the file can be had. Raises ModelError where nobody knows."""
        if self.source is None:
            raise ModelError(
                f"The model {self.name} has no source to get it from; its place is {self.file}."
            )
        return self.source

    @property
    def files(self) -> list[Path]:
        """All its files: more than one where it comes in parts."""
        return split.paths(self.file)

    @property
    def downloaded(self) -> bool:
        """Whether it is there; a download gives a file its name only when it is whole."""
        return all(file.is_file() for file in self.files)

    @property
    def size(self) -> int | None:
        """Bytes of its files, or of the one at its source; None where that is not known."""
        try:
            return sum(file.stat().st_size for file in self.files)
        except OSError:
            return self.source.size if self.source else None


# Checking these entries loads the tables of languages, 0.15 s that no request has to wait for then.
EMBEDDED = ModelEntry(
    name="tatoeba-mini",
    file=Path("tatoeba-mini-q8_0.gguf"),
    parameters=11_462_720,
    licence="CC BY 2.0 FR (training data: tatoeba.org via manythings.org/anki)",
    commercial_use=True,
    source_langs=("en", "ja", "de", "fr", "es", "zh"),
    target_langs=("ja", "de", "fr", "es", "zh", "en"),
    pivot="en",
    prompt=PromptSpec(template="<2{target_lang}>{text}<sep>", languages="code"),
    segment="sentence",
    copies_keeps=False,  # of 1,098 sentences with a placeholder or a URL it copied none right
)


def _shipped() -> tuple[ModelEntry, ...]:
    """The embedded model and those that `shipped.toml` beside this file describes."""
    rows = tomllib.loads(Path(__file__).with_name("shipped.toml").read_text("utf-8"))
    return (EMBEDDED, *(ModelEntry.model_validate(row) for row in rows["model"]))


SHIPPED = _shipped()


class Catalogue:
    """All models that can be chosen, by name; files are absolute paths.

    `entries` are the user's own, from the configuration; they come before shipped ones of the same
    name. Files are looked for in `folder` where their path is relative. Raises ModelError for a bad
    entry.
    """

    def __init__(self, folder: Path, entries: Iterable[Mapping[str, Any]] = ()) -> None:
        self._folder = folder.absolute()
        known = {entry.name: entry for entry in (*SHIPPED, *_parse(entries))}
        self._known = {name: self._placed(entry) for name, entry in known.items()}

    def _placed(self, entry: ModelEntry) -> ModelEntry:
        return entry.model_copy(update={"file": self._folder / _expanded(entry.file)})

    def __iter__(self) -> Iterator[ModelEntry]:
        """The entries, then one for each other model whose files lie in the folder now."""
        yield from self._known.values()
        taken = {entry.file for entry in self._known.values()}
        for file in self._files():
            name = split.name(file.name)
            if file in taken or name in self._known or not gguf.is_model(file):
                continue
            entry = ModelEntry(name=name, file=file)
            if entry.downloaded:
                yield entry

    def _files(self) -> list[Path]:
        try:
            found = sorted(f for f in self._folder.iterdir() if f.suffix.lower() == ".gguf")
            return [file for file in found if split.number(file.name) in (None, 1)]
        except OSError:  # no such folder yet
            return []

    def named(self, name: str) -> ModelEntry | None:
        """The entry of that name, None where there is none."""
        return self._known.get(name) or next((e for e in self if e.name == name), None)

    def find(self, name: str) -> ModelEntry:
        """The entry called `name`, or a plain one for the path of a .gguf file.

        Such a path is looked for in the working folder first, then in the models folder. Raises
        ModelError for what is neither.
        """
        if (entry := self.named(name)) is not None:
            return entry
        if not name.lower().endswith(".gguf"):
            raise ModelError(
                f"There is no model '{name[:200]}': it is neither one of"
                f" {', '.join(entry.name for entry in self)}, nor the path of a .gguf file."
            )
        path = _expanded(Path(name))
        beside = self._folder / path
        file = (beside if not path.exists() and beside.exists() else path).absolute()
        if split.number(file.name) not in (None, 1):
            first = split.files(file.name)[0]
            raise ModelError(f"{file.name} is a part of a model; its first file is {first}.")
        same = next((entry for entry in self if entry.file == file), None)
        return same or ModelEntry(name=split.name(path.name), file=file)


def find(name: str, folder: Path, entries: Iterable[Mapping[str, Any]] = ()) -> ModelEntry:
    """The entry called `name` in the catalogue of these (see `Catalogue`)."""
    return Catalogue(folder, entries).find(name)


def _expanded(path: Path) -> Path:
    """With "~" as the home folder, where there is one of that name."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _parse(entries: Iterable[Mapping[str, Any]]) -> list[ModelEntry]:
    parsed: dict[str, ModelEntry] = {}
    for number, fields in enumerate(entries, 1):
        try:
            entry = ModelEntry.model_validate(fields)
        except ValidationError as error:
            raise _wrong(fields.get("name"), number, error) from None
        if entry.name in parsed:
            raise ModelError(f"Two entries of models.entries are called '{entry.name}'.")
        parsed[entry.name] = entry
    return list(parsed.values())


def _wrong(name: object, number: int, error: ValidationError) -> ModelError:
    """A sentence that names the entry, the field and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    entry = f"'{name[:100]}'" if isinstance(name, str) and name else f"number {number}"
    field = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    return ModelError(f"The entry {entry} of models.entries is wrong: {field}: {reason}.")
