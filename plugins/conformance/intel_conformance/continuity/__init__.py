"""Is a function continuous, and as steep as it claims? Numerical tests along segments, and around single points."""
