"""Bytes of unknown encoding."""

import os
import random

import pytest

from tidemill_apps.knowledge.decode import decode
from tidemill_apps.knowledge.refusal import DocumentRefused

ENGLISH = "The tide mill grinds twice a day.\n"
CHINESE = "潮汐磨坊每天磨两次面粉,后台任务也是如此。\n" * 3
FRENCH = (
    "Le moulin à marée a été bâti près de l\N{RIGHT SINGLE QUOTATION MARK}Île, où l'eau monte.\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030", "gbk"])
def test_chinese_is_read_in_every_usual_encoding(encoding: str) -> None:
    assert decode(CHINESE.encode(encoding)) == CHINESE


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_french_is_read_in_every_usual_encoding(encoding: str) -> None:
    assert decode(FRENCH.encode(encoding)) == FRENCH


def test_latin_1_is_not_taken_for_chinese() -> None:
    text = "Müller aß in Zürich drei Äpfel, très élégant, señor.\n"
    assert decode(text.encode("latin-1")) == text


def test_chinese_words_in_english_are_read_as_chinese() -> None:
    text = f"{ENGLISH * 20}潮汐磨坊\n"
    assert decode(text.encode("gb18030")) == text


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01\x00" + bytes(64),
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        random.Random(1).randbytes(4096),
        b"PK\x03\x04\x14\x00\x06\x00",
    ],
    ids=["elf", "png", "random", "zip"],
)
def test_binary_data_is_refused_as_corrupt(data: bytes) -> None:
    with pytest.raises(DocumentRefused) as refused:
        decode(data)
    assert refused.value.code == "corrupt"
    assert os.linesep not in refused.value.reason


def test_a_cut_utf_16_file_is_refused_with_the_place() -> None:
    with pytest.raises(DocumentRefused, match=r"not utf-16.* text: truncated data at byte 4"):
        decode("潮汐".encode("utf-16")[:-1])  # the mark, one and a half characters
