"""Does the mapping keep the contract, and what it declares?"""

from intel_conformance import conformance, property_tests

SPECS = ["trefoil", "trefoil:eps=1", "trefoil:eps=1e-6"]

test_conformance = conformance(SPECS)
test_continuity, test_theorem1 = property_tests(SPECS)
