"""What do authors of mappings and metrics share?"""
