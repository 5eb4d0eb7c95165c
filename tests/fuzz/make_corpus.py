#!/usr/bin/env python3
"""Makes the seed corpora of the fuzz targets: small, synthetic, one file per feature. Standard library only.

Run it after changing it and commit what it writes:  python3 tests/fuzz/make_corpus.py
"""
import pathlib

HERE = pathlib.Path(__file__).resolve().parent / "corpus"


def put(folder, name, data):
    path = HERE / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))


def text():
    put("text", "plain", "layer1/conv:0")
    put("text", "escape", "a\x1b[31mred\x1b[0m\r\n\t\\\x7f\x00")
    put("text", "bidi", "abc\u202edef\u2066\u200b\ufeff\u00ad")
    put("text", "invalid", b"\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe4\xb8")
    put("text", "html", "<script>alert(\"x\")</script>&'")
    put("text", "path", "./a//b..c/../d\\e")
    put("text", "number", "-1.7976931348623157e308")
    put("text", "integer", "-9223372036854775808")
    put("text", "device", "LPT1.txt")


if __name__ == "__main__":
    text()
