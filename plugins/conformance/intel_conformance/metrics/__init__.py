"""Do metrics measure the same thing each time, and leave what they measure as it is?"""
