"""Which commands are there? A module for each; nothing heavy is imported before a command runs."""
