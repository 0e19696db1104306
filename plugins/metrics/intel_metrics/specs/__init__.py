"""What can be asked of each metric? Its settings; nothing here imports torch."""
