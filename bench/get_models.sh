#!/usr/bin/env bash
# get_models.sh DIR: models and data for bench/accuracy.py, from package registries only.
#
# Pretrained networks that ship inside PyPI packages (an OCR direction classifier, an OCR text detector, a music
# transcriber), and inputs made from what is installed: rendered text over scikit-learn's photographs, and synthesised notes.
# Calibration and evaluation inputs come from different texts, photographs and notes. Layout, one folder per model:
#   DIR/<model>/model.onnx   DIR/<model>/calib/000.npz ...   DIR/<model>/eval/000.npz ...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
command -v unzip >/dev/null || { echo "unzip is missing: apt-get install unzip"; exit 1; }
[ -x "$dir/venv/bin/python" ] || python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q numpy onnx==1.23.2 onnxruntime==1.31.1 sympy scikit-learn pillow
mkdir -p "$dir/wheels"
"$dir/venv/bin/pip" download -q --no-deps --only-binary=:all: -d "$dir/wheels" rapidocr-onnxruntime==1.4.4 basic-pitch==0.4.0
take() { # wheel pattern, member, model name
  mkdir -p "$dir/$3"
  unzip -p "$dir"/wheels/$1 "$2" > "$dir/$3/model.onnx"
}
take 'rapidocr_onnxruntime-*.whl' rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx ocr_cls
take 'rapidocr_onnxruntime-*.whl' rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx ocr_det
take 'basic_pitch-*.whl' basic_pitch/saved_models/icassp_2022/nmp.onnx basic_pitch
"$dir/venv/bin/python" "$here/make_data.py" "$dir"
echo "ready: $dir/venv/bin/python $here/accuracy.py --models $dir --quantal build/release/bin/quantal"
