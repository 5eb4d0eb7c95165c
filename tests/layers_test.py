#!/usr/bin/env python3
"""Shows that the layer check finds what it must: a planted violation of each kind in a small tree."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import layers  # noqa: E402

PLANTED = {
    "include/quantal/base/up.hpp": '#include "quantal/tensor/shape.hpp"\n',
    "src/exec/cross.cpp": '#include "quantal/onnx/onnx.hpp"\n',
    "src/attic/lost.cpp": "// no rank\n",
    "bindings/c/peek.c": '#include "quantal/base/status.hpp"\n',
    "docs/note.md": "see /" + "work/main for details\n",
    "src/passes/beside.cpp": '#include "../pipeline/defaults.hpp"\n',
}
CLEAN = {
    "src/exec/fine.cpp": ('#include <vector>\n#include "quantal/ops/op.hpp"\n'
                           '#include "quantal/exec/session.hpp"\n'),
    "src/pipeline/defaults.hpp": '#include "quantal/passes/pass.hpp"\n',
    "capi/capi.cpp": '#include "quantal.h"\n#include "quantal/pipeline/quantize.hpp"\n',
    "tests/any/test.cpp": '#include "quantal/pipeline/quantize.hpp"\n',
}


def write(root, files):
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)


with tempfile.TemporaryDirectory() as root:
    write(root, CLEAN)
    assert layers.check(root) == [], layers.check(root)
    write(root, PLANTED)
    found = layers.check(root)
    for path in PLANTED:
        assert any(f.startswith(path + ":") for f in found), (path, found)
    assert len(found) == len(PLANTED), found
print(f"layers_test: {len(PLANTED)} planted violations found, {len(CLEAN)} clean files accepted")
