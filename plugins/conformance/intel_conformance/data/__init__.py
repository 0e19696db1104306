"""Are data what they are said to be, and the same each time?"""
