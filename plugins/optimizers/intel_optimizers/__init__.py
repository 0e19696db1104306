"""Which optimisers and schedules are there beside Adam and simple ramps?"""
