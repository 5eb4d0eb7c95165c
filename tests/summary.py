#!/usr/bin/env python3
"""Adds up ctest's JUnit files:  summary.py LABEL=results.xml ...

One ctest entry is one program; what counts is the tests inside it. A Catch2 program says how many cases it ran, a script
says `tests: N passed, N failed, N skipped`; an entry that says neither counts as one. Every skip is printed with its
reason (`skip: ...` lines). The last line is `N passed, N failed, N skipped`; exit code 1 if anything failed.
"""
import re
import sys
import xml.etree.ElementTree as xml

SCRIPT = re.compile(r"^tests: (\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
CATCH_OK = re.compile(r"^All tests passed \(\d+ assertions? in (\d+) test cases?\)", re.M)
CATCH_BAD = re.compile(r"^test cases:\s*(\d+) \|(?:\s*(\d+) passed \|)?\s*(\d+) failed", re.M)


def count(case):
    """(passed, failed, skipped, reasons) of one ctest entry."""
    text = case.findtext("system-out") or ""
    reasons = [line[5:].strip() for line in text.splitlines() if line.startswith("skip:")]
    status = case.get("status")
    if status in ("notrun", "disabled") or case.find("skipped") is not None:
        if not reasons:
            lines = [line for line in text.splitlines() if line.strip()]
            reasons = [lines[-1].strip() if lines else "no reason given (a defect of the test)"]
        return 0, 0, 1, reasons[:1]
    bad = status == "fail" or case.find("failure") is not None
    script = SCRIPT.findall(text)
    if script:
        passed, failed, skipped = (int(n) for n in script[-1])
    else:
        passed, failed, skipped = (0, 0, len(reasons))
        ok, broken = CATCH_OK.search(text), CATCH_BAD.search(text)
        if ok:
            passed = int(ok.group(1))
        elif broken:
            passed, failed = int(broken.group(2) or 0), int(broken.group(3))
        else:
            passed = 0 if bad else 1
    return passed, max(failed, 1) if bad else failed, skipped, reasons


def main():
    total = [0, 0, 0]
    for argument in sys.argv[1:]:
        label, path = argument.split("=", 1)
        try:
            cases = list(xml.parse(path).getroot().iter("testcase"))
        except (OSError, xml.ParseError) as problem:
            print(f"{label}: no results ({problem})")
            total[1] += 1
            continue
        if not cases:
            print(f"{label}: no tests ran")
            total[1] += 1
        for case in cases:
            passed, failed, skipped, reasons = count(case)
            for i, n in enumerate((passed, failed, skipped)):
                total[i] += n
            mark = "FAILED" if failed else ("skipped" if skipped and not passed else "ok")
            seconds = float(case.get("time") or 0)
            print(f"  {label:8} {case.get('name'):28} {mark:8} {passed:5} passed {failed:3} failed {skipped:3} skipped {seconds:7.1f} s")
            for reason in reasons:
                print(f"           skipped: {reason}")
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
