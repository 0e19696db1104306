"""What is a user told, on the terminal and in files, and how?"""
