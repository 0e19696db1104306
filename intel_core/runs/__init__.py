"""What does a run leave on disk, and what can it do when it is read back?"""
