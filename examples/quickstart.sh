#!/usr/bin/env bash
# From a fresh checkout to a quantized model, in a few minutes:   bash examples/quickstart.sh
#
# Installs what building needs (and says what), builds the command line, quantizes a small CNN for handwritten digits in four ways
# with real images, and shows what each costs: size, accuracy on 500 images that neither training nor calibration saw, a report page.
set -euo pipefail
cd "$(dirname "$0")/.."
began=$SECONDS
source tests/install_packages.sh
install_packages build

echo "== building the command line"
mkdir -p build
cmake --preset release -DQUANTAL_BUILD_TESTS=OFF >build/quickstart.log 2>&1 || { cat build/quickstart.log; exit 1; }
cmake --build build/release -j "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}" --target quantal_cli >>build/quickstart.log 2>&1 || { tail -n 40 build/quickstart.log; exit 1; }
echo "   done after $((SECONDS - began)) s: build/release/bin/quantal"
quantal=build/release/bin/quantal digits=examples/digits out=quantized_models
report=$out/digits_per_channel_int8.html

mkdir -p $out
for type in fp16 dynamic_int8 static_int8; do
  $quantal quantize $digits/digits.onnx --quant-type $type --data $digits/calib.npz -o $out/ --json >$out/digits_$type.json 2>/dev/null
done
echo
echo "== quantal quantize $digits/digits.onnx --quant-type per_channel_int8 --data $digits/calib.npz --report $report"
$quantal quantize $digits/digits.onnx --quant-type per_channel_int8 --data $digits/calib.npz -o $out/ --report $report

echo
echo "== accuracy on $digits/test.npz (quantal compare ... --metric top1)"
number() { sed -n "s/.*\"$1\": \([-0-9.e]*\),*$/\1/p" | head -n 1; }
printf '   %-18s %10s %12s %14s\n' "model" "bytes" "right" "SQNR"
first=1
for type in fp16 dynamic_int8 static_int8 per_channel_int8; do
  result=$($quantal compare $digits/digits.onnx $out/digits_$type.onnx --data $digits/test.npz --metric top1 --json)
  if [ $first = 1 ]; then
    printf '   %-18s %10s %10.2f %% %14s\n' float "$(stat -c %s $digits/digits.onnx)" "$(echo "$result" | number metric_a)" "-"
    first=0
  fi
  printf '   %-18s %10s %10.2f %% %11.1f dB\n' $type "$(stat -c %s $out/digits_$type.onnx)" "$(echo "$result" | number metric_b)" "$(echo "$result" | number sqnr_db)"
done
echo
echo "The report, to open in a browser: $PWD/$report"
echo "All of it took $((SECONDS - began)) s."
