"""The list of defects keeps up with the code. Applying them takes minutes and is done by hand."""

import pytest
from break_the_suite import ROOT, Copy, choose, find_tests, replace_once
from defects import DEFECTS


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_defect_changes_its_file_and_names_tests(defect):
    intact = (ROOT / defect.file).read_text()

    assert replace_once(intact, defect) != intact
    assert all(find_tests(ROOT, pattern) for pattern in defect.tests)


def test_contributing_lists_every_defect():
    contributing = (ROOT / "CONTRIBUTING.md").read_text()

    assert not [defect.name for defect in DEFECTS if defect.name not in contributing]


def test_words_choose_defects_and_an_unknown_one_is_refused():
    assert choose([]) == list(DEFECTS)
    chosen = choose(["greedy:", "resume:"])
    assert {defect.name.split(":")[0] for defect in chosen} == {"greedy", "resume"}

    with pytest.raises(SystemExit, match="no defect's name holds 'gredy'"):
        choose(["greedy", "gredy"])


@pytest.mark.slow
def test_copy_has_the_documents_that_tests_read_when_they_are_collected(tmp_path):
    copy = Copy(tmp_path)

    result = copy.run_tests(("test_guide.py", "test_break_the_suite.py"), "--collect-only")

    assert result.returncode == 0, result.stdout + result.stderr
