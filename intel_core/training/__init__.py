"""How is a model optimised?"""
