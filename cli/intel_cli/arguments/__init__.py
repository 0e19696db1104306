"""What does a user type, and which runs, mappings, metrics and settings are meant by it?"""
