#!/usr/bin/env bash
# get.sh DIR: peers that Debian does not have, into DIR, for measuring only. Nothing here is linked or shipped.
#   DIR/venv      ONNX Runtime and LiteRT (XNNPACK of its year) for server.py: pass --peer_python=DIR/venv/bin/python
#   DIR/onednn3   oneDNN 3.6 as PaddlePaddle's wheel carries it (OpenMP build), with headers of oneDNN 3:
#                 cmake --preset bench -DQUANTAL_ONEDNN3_LIBRARY=DIR/onednn3/libdnnl.so.3 -DQUANTAL_ONEDNN3_INCLUDE=DIR/onednn3/include
# numpy's and torch's observers: Debian's python3-numpy, python3-torch with --peer_python=DIR/venv/bin/python,/usr/bin/python3
# oneDNN 2 and XNNPACK: Debian's libdnnl-dev, libxnnpack-dev.
set -euo pipefail
dir=${1:?usage: get.sh DIR}
mkdir -p "$dir"
[ -x "$dir/venv/bin/python" ] || python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q numpy onnx onnxruntime==1.31.1 ai-edge-litert==2.3.0 flatbuffers
if [ ! -e "$dir/onednn3/libdnnl.so.3" ]; then
  mkdir -p "$dir/onednn3"
  "$dir/venv/bin/pip" download -q --no-deps -d "$dir/wheels" paddlepaddle==3.3.1 onednn-devel==2025.0.0
  "$dir/venv/bin/python" - "$dir" <<'PY'
import glob, os, sys, zipfile
folder = sys.argv[1]
for wheel in glob.glob(folder + "/wheels/*.whl"):
    with zipfile.ZipFile(wheel) as z:
        for name in z.namelist():
            base = os.path.basename(name)
            if base == "libdnnl.so.3" and "paddle" in os.path.basename(wheel):
                target = f"{folder}/onednn3/{base}"
            elif "include/" in name and "onednn" in os.path.basename(wheel) and base:
                target = f"{folder}/onednn3/include/{name.split('include/', 1)[1]}"
            else:
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as out:
                out.write(z.read(name))
PY
fi
ls "$dir/onednn3" "$dir/venv/bin/python"
