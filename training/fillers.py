"""What goes into the slots of templates: names, numbers, times, dates, prices, quoted words.

Every filler draws one thing and returns its form in each of the six languages.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable

from training.languages import LANGUAGES
from training.names import Forms, draw, invent

Filler = Callable[[frozenset[str], random.Random], Forms]

_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
    "diciembre",
}
_WEEKDAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "es": "lunes martes miércoles jueves viernes sábado domingo",
    "ja": "月曜日 火曜日 水曜日 木曜日 金曜日 土曜日 日曜日",
    "zh": "星期一 星期二 星期三 星期四 星期五 星期六 星期日",
}
# Amount with its currency: English before and after the number, then the other languages' words.
_CURRENCIES = (
    (
        "$",
        " dollars",
        {"de": "Dollar", "fr": "dollars", "es": "dólares", "ja": "ドル", "zh": "美元"},
    ),
    ("€", " euros", {"de": "Euro", "fr": "euros", "es": "euros", "ja": "ユーロ", "zh": "欧元"}),
    ("£", " pounds", {"de": "Pfund", "fr": "livres", "es": "libras", "ja": "ポンド", "zh": "英镑"}),
    ("¥", " yen", {"de": "Yen", "fr": "yens", "es": "yenes", "ja": "円", "zh": "日元"}),
)
_QUOTES = {
    "en": '"{}"',
    "de": "„{}“",
    "fr": "« {} »",
    "es": '"{}"',
    "ja": "「{}」",
    "zh": "“{}”",
}
_WORDS = (
    *("hello", "freedom", "banana", "silence", "window", "OK", "error", "password", "apple"),
    *("serendipity", "moon", "happiness", "computer", "Python", "exit", "open", "login", "server"),
    *("test", "cloud", "river", "coffee", "yes", "no", "stop", "start", "save"),
)


def same(text: str) -> Forms:
    """Return `text` as the form in every language."""
    return dict.fromkeys(LANGUAGES, text)


def _name(kinds: str) -> Filler:
    def fill(languages: frozenset[str], rng: random.Random) -> Forms:
        return draw(rng.choice(kinds.split()), languages, rng).forms

    return fill


def number(_: frozenset[str], rng: random.Random) -> Forms:
    """A whole number from 2 on; small ones are the more frequent."""
    return same(str(rng.randint(2, rng.choice((12, 30, 99, 999)))))


def big_number(_: frozenset[str], rng: random.Random) -> Forms:
    """A number of two to five digits without separators, as in house and room numbers."""
    return same(str(rng.randint(10, rng.choice((99, 999, 9999, 99999)))))


def year(_: frozenset[str], rng: random.Random) -> Forms:
    """A year."""
    return same(str(rng.randint(1800, 2040)))


def phone(_: frozenset[str], rng: random.Random) -> Forms:
    """A telephone number: groups of digits joined by hyphens or spaces."""
    groups = [str(rng.randint(10, 9999)) for _ in range(rng.randint(2, 4))]
    return same(rng.choice("- ").join(groups))


def code(_: frozenset[str], rng: random.Random) -> Forms:
    """A room, gate or flight such as B12: to be copied."""
    letters = "".join(rng.choices(string.ascii_uppercase, k=rng.randint(1, 2)))
    return same(f"{letters}{rng.randint(1, 999)}")


def email(_: frozenset[str], rng: random.Random) -> Forms:
    """A mail address: to be copied."""
    domain = rng.choice(("example.com", "example.org", "mail.example.net"))
    return same(f"{invent(rng).lower()}@{domain}")


def twelve_hours(hour: int, minute: int) -> str:
    """Return a time of day as English says it.

    >>> twelve_hours(0, 5), twelve_hours(15, 0), twelve_hours(12, 30)
    ('12:05 a.m.', '3:00 p.m.', '12:30 p.m.')
    """
    return f"{(hour - 1) % 12 + 1}:{minute:02} {'p' if hour > 11 else 'a'}.m."


def clock_time(_: frozenset[str], rng: random.Random) -> Forms:
    """A time of day to go after "at": with minutes or on the hour, 12 or 24 hours in English."""
    hour, minute = rng.randint(6, 23), rng.choice((0, 0, 5, 10, 15, 20, 30, 30, 40, 45, 50))
    digits = f"{hour}:{minute:02}"
    tail = f"{minute}分" if minute else ""
    return {
        "en": twelve_hours(hour, minute) if hour > 12 or rng.random() < 0.3 else digits,
        "de": f"{digits} Uhr" if minute else f"{hour} Uhr",
        "fr": f"{hour} h {minute:02}" if minute else f"{hour} heures",
        "es": f"las {digits}",
        "ja": f"{hour}時{tail}",
        "zh": f"{hour}点{tail}",
    }


def full_hour(_: frozenset[str], rng: random.Random) -> Forms:
    """An hour from 2 to 12, as in "at 3 o'clock"."""
    hour = rng.randint(2, 12)
    return {
        "en": f"{hour} o'clock",
        "de": f"{hour} Uhr",
        "fr": f"{hour} heures",
        "es": f"las {hour}",
        "ja": f"{hour}時",
        "zh": f"{hour}点",
    }


def date(_: frozenset[str], rng: random.Random) -> Forms:
    """A day of a month, to go after English "on", German "am", French "le", Spanish "el"."""
    month, day = rng.randrange(12), rng.randint(2, 28)
    names = {lang: names.split()[month] for lang, names in _MONTHS.items()}
    return {
        "en": f"{names['en']} {day}",
        "de": f"{day}. {names['de']}",
        "fr": f"{day} {names['fr']}",
        "es": f"{day} de {names['es']}",
        "ja": f"{month + 1}月{day}日",
        "zh": f"{month + 1}月{day}日",
    }


def full_date(languages: frozenset[str], rng: random.Random) -> Forms:
    """A day with its year."""
    day, in_year = date(languages, rng), rng.randint(1900, 2035)
    return {
        "en": f"{day['en']}, {in_year}",
        "de": f"{day['de']} {in_year}",
        "fr": f"{day['fr']} {in_year}",
        "es": f"{day['es']} de {in_year}",
        "ja": f"{in_year}年{day['ja']}",
        "zh": f"{in_year}年{day['zh']}",
    }


def weekday(_: frozenset[str], rng: random.Random) -> Forms:
    """A day of the week."""
    day = rng.randrange(7)
    return {lang: names.split()[day] for lang, names in _WEEKDAYS.items()}


def price(_: frozenset[str], rng: random.Random) -> Forms:
    """An amount of money; yen are whole, other amounts have cents now and then."""
    sign, word, others = rng.choice(_CURRENCIES)
    whole = rng.randint(2, rng.choice((20, 99, 999)))
    amount = str(whole * 10 if sign == "¥" else whole)
    if sign != "¥" and rng.random() < 0.4:
        amount += rng.choice((".50", ".99", ".20", ".75", ".80", ".95"))
    comma = amount.replace(".", ",")
    forms = {
        lang: f"{comma} {name}" if lang in ("de", "fr", "es") else f"{amount}{name}"
        for lang, name in others.items()
    }
    return {"en": f"{sign}{amount}" if rng.random() < 0.6 else f"{amount}{word}", **forms}


def quoted(_: frozenset[str], rng: random.Random) -> Forms:
    """A word in each language's quotation marks: to be copied."""
    word = rng.choice(_WORDS) if rng.random() < 0.6 else invent(rng)
    return {lang: marks.format(word) for lang, marks in _QUOTES.items()}


FILLERS: dict[str, Filler] = {
    "name": _name("male female"),
    "man": _name("male"),
    "woman": _name("female"),
    "surname": _name("surname"),
    "city": _name("city"),
    "n": number,
    "big": big_number,
    "year": year,
    "phone": phone,
    "code": code,
    "email": email,
    "time": clock_time,
    "hour": full_hour,
    "date": date,
    "fulldate": full_date,
    "weekday": weekday,
    "price": price,
    "quoted": quoted,
}
