"""How good is a run, and do runs differ by more than their seeds?"""
