"""How are many seeds trained at once?"""
