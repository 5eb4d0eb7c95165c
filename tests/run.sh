#!/usr/bin/env bash
# Builds everything and runs every test.
#
#   bash tests/run.sh          all: release build and tests, then the parsers and numbers once more under ASan + UBSan
#   bash tests/run.sh quick    the inner loop: release only, without the slow tests (ctest label `slow`)
#
# Installs what is missing (and says what); without root it prints the line to run. Python packages go to tests/.venv.
# The last line is `N passed, N failed, N skipped`; every skip is listed with its reason.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-all}
case "$mode" in all | quick) ;; *) echo "usage: tests/run.sh [quick]" >&2; exit 2 ;; esac
jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
began=$SECONDS
say() { echo "== $* [$((SECONDS - began)) s]"; }

source tests/install_packages.sh
install_packages build test

# The oracles: ONNX Runtime, onnx, numpy... in a folder of their own.
venv=tests/.venv
stamp=$(sha256sum tests/requirements.txt | cut -c1-16)
if [ ! -e "$venv/$stamp" ]; then
  say "Python packages into $venv: $(grep -v '^#' tests/requirements.txt | tr '\n' ' ')"
  rm -rf "$venv"
  /usr/bin/python3 -m venv "$venv" 2>/dev/null || python3 -m venv "$venv"
  if "$venv/bin/python" -m pip install -q --disable-pip-version-check -r tests/requirements.txt; then
    touch "$venv/$stamp"
  else
    echo "the Python packages could not be installed: tests that compare with them are skipped"
  fi
fi

results=build/test-results
mkdir -p $results
say "release: configure and build ($jobs jobs)"
cmake --preset release -DQUANTAL_BUILD_TESTS=ON >$results/configure-release.log || { cat $results/configure-release.log; exit 1; }
cmake --build --preset release -j "$jobs" >$results/build-release.log 2>&1 || { tail -n 60 $results/build-release.log; exit 1; }
if grep -q 'warning:' $results/build-release.log; then grep 'warning:' $results/build-release.log | sort | uniq -c | head -n 20; fi

run_ctest() {  # run_ctest PRESET ARGS...: a failing test is counted by summary.py, not here
  local preset=$1; shift
  say "$preset: tests"
  rm -f "$PWD/$results/$preset.xml"
  ctest --test-dir build/"$preset" --output-on-failure --no-tests=error --timeout 1500 --output-junit "$PWD/$results/$preset.xml" \
    --test-output-size-passed 400000 --test-output-size-failed 400000 "$@" >$results/ctest-"$preset".log 2>&1 || true
  grep -E '\*\*\*(Failed|Timeout|Exception)|Subprocess aborted' $results/ctest-"$preset".log || true
}

if [ "$mode" = quick ]; then
  run_ctest release -j "$jobs" -LE slow
  say summary
  python3 tests/summary.py release=$results/release.xml
  exit
fi

run_ctest release -j "$jobs"
# Sanitizers: the rooms that read foreign bytes or compute sizes and indices. The rest runs the same code in release.
rooms="base num tensor quant kernels gemm gemm_matrix conv calib ir io ops exec onnx data passes fuzz capi capi_kernels capi_observer"
say "asan: configure and build ($rooms)"
cmake --preset asan -DQUANTAL_BUILD_TESTS=ON >$results/configure-asan.log || { cat $results/configure-asan.log; exit 1; }
known=$(cmake --build --preset asan --target help | sed -n 's/^\(quantal_[a-z_0-9]*\): phony$/\1/p')
targets=()
for room in $rooms; do
  for target in $known; do case "$target" in quantal_test_"$room" | quantal_test_"$room"_* | quantal_replay_*) targets+=("$target") ;; esac; done
done
mapfile -t targets < <(printf '%s\n' "${targets[@]}" | sort -u)
cmake --build --preset asan -j "$jobs" --target "${targets[@]}" >$results/build-asan.log 2>&1 || { tail -n 60 $results/build-asan.log; exit 1; }
pattern=$(echo $rooms | tr ' ' '|')
# Only the programs that were built: scripts with oracles compare numbers, which the release run has done.
ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
  run_ctest asan -j "$jobs" -R "^($pattern|fuzz_.*)$" -LE noasan
say summary
python3 tests/summary.py release=$results/release.xml asan=$results/asan.xml
