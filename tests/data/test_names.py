"""Does the package still offer the names that it has offered?"""

import intel_core.data
from intel_core.reading.splitting import split_rows


def test_the_split_of_rows_is_found_where_it_was() -> None:
    assert intel_core.data.split_rows is split_rows
