"""The list of defects keeps up with the code. Applying them takes minutes and is done by hand."""

import pytest
from break_the_suite import ROOT, find_tests, replace_once
from defects import DEFECTS


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_defect_changes_its_file_and_names_tests(defect):
    intact = (ROOT / defect.file).read_text()

    assert replace_once(intact, defect) != intact
    assert all(find_tests(ROOT, pattern) for pattern in defect.tests)


def test_contributing_lists_every_defect():
    contributing = (ROOT / "CONTRIBUTING.md").read_text()

    assert not [defect.name for defect in DEFECTS if defect.name not in contributing]
