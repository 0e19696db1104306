"""Where, in which number format and how fast is it computed?"""
