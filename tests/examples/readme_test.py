#!/usr/bin/env python3
"""Runs what README.md shows.   readme_test.py ROOT BUILD

Every fenced block with a language is executed in the order of the page, in a folder of its own that has `examples` and where
`quantal` is on the PATH: sh, python, c (C99), cpp (C++20) and cmake (against an installation of BUILD). A block whose preceding
line is `<!-- not run: reason -->` is skipped, with that reason. Output that a block promises is not compared; failing is.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT, BUILD = (os.path.abspath(p) for p in sys.argv[1:3])
PYTHON = sys.argv[3] if len(sys.argv) > 3 and os.path.exists(sys.argv[3]) else None
BLOCK = re.compile(r"^(?:<!-- not run: (?P<reason>[^\n]*?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


def main():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        page = f.read()
    passed = failed = skipped = 0
    folder = tempfile.mkdtemp()
    try:
        os.symlink(os.path.join(ROOT, "examples"), os.path.join(folder, "examples"))
        env = dict(os.environ, CMAKE_GENERATOR="Ninja", PATH=os.path.join(BUILD, "bin") + os.pathsep + os.environ["PATH"],
                   PYTHONPATH=os.path.join(ROOT, "bindings", "python"), QUANTAL_LIBRARY=os.path.join(BUILD, "lib", "libquantal.so"),
                   LD_LIBRARY_PATH=os.path.join(BUILD, "lib"))
        for match in BLOCK.finditer(page):
            language, text = match["language"], match["text"]
            line = page[:match.start()].count("\n") + 1
            reason = match["reason"]
            if language == "python" and PYTHON is None:
                reason = "no Python with numpy (tests/run.sh makes tests/.venv)"
            if reason:
                skipped += 1
                print(f"skip: README.md:{line} ({language}): {reason}")
                continue
            commands = {"sh": [["bash", "-eu", "block.sh"]], "python": [[PYTHON, "block.py"]],
                        "c": [["gcc", "-std=c99", "-Wall", "-Werror", "-I", f"{ROOT}/capi/include", "main.c", "-o", "c_block", f"-L{BUILD}/lib", "-lquantal"],
                              ["./c_block"]],
                        "cpp": [["g++", "-std=c++20", "-Wall", "-Werror", "-I", f"{ROOT}/include", "main.cpp", "-o", "cpp_block"], ["./cpp_block"]],
                        "cmake": [["cmake", "--install", BUILD, "--prefix", f"{folder}/installed"],
                                  ["cmake", "-S", ".", "-B", "cmake_block", f"-DCMAKE_PREFIX_PATH={folder}/installed"], ["cmake", "--build", "cmake_block"]]}
            names = {"sh": "block.sh", "python": "block.py", "c": "main.c", "cpp": "main.cpp", "cmake": "CMakeLists.txt"}
            if language not in commands:
                failed += 1
                print(f"FAILED: README.md:{line}: nothing is known about blocks of language {language}")
                continue
            with open(os.path.join(folder, names[language]), "w", encoding="utf-8") as f:
                f.write(text)
            for command in commands[language]:
                done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
                if done.returncode != 0:
                    failed += 1
                    print(f"FAILED: README.md:{line} ({language}): {' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
                    break
            else:
                passed += 1
                print(f"ok: README.md:{line} ({language})")
    finally:
        shutil.rmtree(folder)
    if passed == 0:
        failed += 1
        print("FAILED: no block was run")
    print(f"tests: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
