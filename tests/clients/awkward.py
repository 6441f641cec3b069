"""Texts that an encoder or a decoder of event streams may stumble over.

What WPT's tests of `eventsource` feed to a browser, turned round: here it is what the text holds
that is sent, not what the stream does.
"""

from __future__ import annotations

TEXTS = {
    "a carriage return": "one\rtwo",
    "a line feed": "one\ntwo",
    "both": "one\r\ntwo",
    "line breaks at the ends": "\r\n\none\n\r",
    "line breaks alone": "\n\r\r\n\n\n",
    "a NUL": "one\0two",
    "a NUL alone": "\0",
    "control characters": "".join(map(chr, range(32))) + "\x7f",
    "C1 controls": "".join(map(chr, range(0x80, 0xA0))),
    "a byte order mark at the start": "\ufeffone",
    "a byte order mark within": "one \ufeff two\ufeff",
    "byte order marks alone": "\ufeff\ufeff",
    "a leading blank": " one",
    "leading blanks": "   one",
    "a trailing blank": "one ",
    "a blank alone": " ",
    "a tab": "\tone\t",
    "a colon at the start": ":one",
    "a colon alone": ":",
    "a colon and a blank": ": ping",
    "the name of a field": "data",
    "a field": "data: one",
    "a field on a line of its own": "one\ndata: two\n\ndata: three",
    "all fields": "id: 1\nevent: usage\nretry: 1\ndata: x\n\n",
    "the end of a stream": "data: [DONE]\n\n",
    "what ends a stream": "[DONE]",
    "an error": '{"error": "none", "code": "none"}',
    "quotes and backslashes": '"one" \\two\\ \\" \\u0041 \\n \\',
    "slashes and angle brackets": "</script> <!-- & --> // \\/",
    "the line separator": "one\u2028two",
    "the paragraph separator": "one\u2029two",
    "the next line": "one\x85two",
    "vertical tab, form feed, separators": "one\x0b\x0c\x1c\x1d\x1etwo",
    "characters of two bytes": "ñandú Größe Привет",
    "characters of three bytes": "去年の春に東京を訪れた。",
    "characters of four bytes": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠜎 🌸",
    "characters of several code points": "👩‍👩‍👧‍👦 🇯🇵 e\u0301 क्षि",
    "the first and last of each length": "\x7f\x80\u07ff\u0800\ud7ff\ue000\U00010000\U0010ffff",
    "characters that are none": "\ufffe\uffff\ufffd \U0001fffe",
    "from right to left": "\u202eone\u202c مرحبا שלום",
    "a number": "1e999 -0 NaN",
    "a word of a megabyte": "ab" * 2**19,
    "a line of many words": "one two " * 20_000,
    "very many line breaks": "one\n" * 5000,
}
