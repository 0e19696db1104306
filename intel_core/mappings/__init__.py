"""What is a mapping z = g(y), what does it promise, and how are several put together?"""
