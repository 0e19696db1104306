"""Did the bias of a mapping take? What it declares is compared with data and samples."""
