"""What is a data set, and which rows has a step?"""
