"""What exactly is to be trained? The spec of a run, what the data settle of it, and the model it describes."""
