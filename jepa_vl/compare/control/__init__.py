"""The proof of control: what each arm does is seen on its built parts, and checked before anything trains."""
