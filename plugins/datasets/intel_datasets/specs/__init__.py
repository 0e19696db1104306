"""Which data sets can be named? Their specs, by topic; importing one imports neither torch nor any reader."""
