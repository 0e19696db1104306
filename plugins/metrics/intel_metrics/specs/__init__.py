"""What can be asked of each metric; nothing here imports torch."""
