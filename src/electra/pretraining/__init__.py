"""What pretraining is made of: its settings, its two networks, and the session that trains them."""
