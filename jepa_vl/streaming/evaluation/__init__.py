"""How good the texts of a policy are, what they cost, and what it saves (section 4.6)."""
