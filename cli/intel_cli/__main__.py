"""`python -m intel_cli` is `intel`."""

from intel_cli.main import main

main()
