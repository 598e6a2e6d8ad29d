"""What training a recipe will take, counted without weights or data."""
