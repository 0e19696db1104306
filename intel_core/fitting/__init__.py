"""How does a spec become a run? Everything around the trainer: arguments, signals, restarts, checkpoints."""
