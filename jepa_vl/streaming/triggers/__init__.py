"""What online policies watch: scores of change, and the threshold that holds a rate."""
