"""How are examples read? From arrays in memory, or from files that are read ahead of the step."""
