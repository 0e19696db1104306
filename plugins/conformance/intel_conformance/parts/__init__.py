"""Are the parts of a model sound modules of functions of rows, whatever they compute?"""
