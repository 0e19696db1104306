"""What is checked of a mapping? A module for each group of checks; each check is a plain function of the candidate."""
