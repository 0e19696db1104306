"""What is installed, and how is it written as text?"""
