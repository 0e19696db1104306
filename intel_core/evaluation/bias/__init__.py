"""Did the bias of a mapping take? What it declares is held against what data and samples show."""
